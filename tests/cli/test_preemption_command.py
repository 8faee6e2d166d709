"""`trainstack runs simulate-preemption` on real runs."""

from tests.waiting import until

from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.targets.local.orphans import processes

STEPS = """
import os, pathlib, time
state = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "step")
step = int(state.read_text()) if state.exists() else 0
print("starting at", step, flush=True)
while step < 25:
    time.sleep(0.1)
    step += 1
    aside = state.with_name("aside")
    aside.write_text(str(step))
    aside.rename(state)
    print("step", step, flush=True)
pathlib.Path("outputs/steps").write_text(str(step))
"""


def printed(run, text):
    return run.merged_log.is_file() and text in run.merged_log.read_text()


def test_a_run_with_attempts_left_goes_on_by_itself(started, json_output):
    run = started(STEPS, max_attempts=2, backoff=0.1)
    until(lambda: printed(run, "step 3"))
    ended = json_output("runs", "simulate-preemption", run.id)
    assert (ended["id"], ended["node"]) == (run.id, 0)
    record = submission.follow(run)
    assert record.attempt == 2
    assert (run.outputs / "steps").read_text() == "25"
    starts = [line for line in run.merged_log.read_text().splitlines() if line.startswith("starting at")]
    assert int(starts[1].split()[-1]) >= 3
    history = (run.root / "events.jsonl").read_text()
    assert "node 0 was taken away: its agent was asked to end, and not by this run" in history


def test_a_run_without_attempts_left_says_how_to_go_on(started, cli):
    run = started(STEPS)
    until(lambda: printed(run, "step 2"))
    said = cli("runs", "simulate-preemption", run.id, "--notice", "0")
    assert said.exit_code == 0, said.output
    assert "the next `pulumi up` goes on with it" in said.stdout
    until(lambda: run.read().status is Status.FAILED)
    until(lambda: not run.has_supervisor())
    assert not processes(run.root)


def test_a_missing_node_and_an_ended_run_are_refused(started, cli):
    run = started(STEPS)
    until(lambda: printed(run, "step 1"))
    refused = cli("runs", "simulate-preemption", run.id, "--node", "4")
    assert refused.exit_code == 1
    assert "has no node 4: it runs on 1, counted from 0" in refused.stderr
    submission.follow(run)
    refused = cli("runs", "simulate-preemption", run.id)
    assert "is completed: only a running one has nodes to lose" in refused.stderr
