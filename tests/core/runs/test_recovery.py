"""A damaged `run.json` is moved aside, and the run goes on with what it has: outputs, or its checkpoint."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from tests.core.sample_runs import events, printed
from tests.waiting import until

from trainstack.core.runs import index
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.submission import Outcome
from trainstack.core.runs.index import newest
from trainstack.errors import RunFailedError
from trainstack.provider.training_run import TrainingRunProvider
from trainstack.targets.local.orphans import processes


def truncate(run) -> bytes:
    whole = (run.root / "run.json").read_bytes()
    (run.root / "run.json").write_bytes(whole[: len(whole) // 2])
    return whole[: len(whole) // 2]


@pytest.mark.parametrize("harm", ["truncated", "gone", "empty"])
def test_a_completed_run_is_completed_again_and_nothing_trains(workspace, source, request_for, harm):
    run = submission.submit(workspace, request_for({"--steps": 2}), source, {}).directory
    whole = submission.follow(run)
    until(lambda: not run.has_supervisor())
    damaged = truncate(run) if harm == "truncated" else b""
    if harm == "gone":
        (run.root / "run.json").unlink()
    elif harm == "empty":
        (run.root / "run.json").write_bytes(b"")
    (run.root / "spec.json").write_text('{"na')
    again = submission.submit(workspace, request_for({"--steps": 2}), source, {})
    assert again.outcome is Outcome.ADOPTED
    assert "written anew, complete" in again.note
    record = submission.follow(run)
    assert (record.outputs, record.metrics, record.attempt) == (whole.outputs, whole.metrics, 1)
    assert record.duration == whole.duration
    assert run.request().name == "tiny"
    if harm != "gone":
        assert (run.root / "run.json.damaged-1").read_bytes() == damaged


def test_an_unfinished_run_goes_on_from_its_checkpoint(workspace, source, request_for):
    request = request_for({"--steps": 20, "--pause": 0.1})
    run = submission.submit(workspace, request, source, {}).directory
    until(lambda: printed(run, "step 3"))
    supervisor = run.read().supervisor
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not run.has_supervisor() and not processes(run.root))
    truncate(run)
    with (run.root / "events.jsonl").open("a") as history:
        history.write('{"time": "2026-')  # cut short by the same misfortune
    with pytest.raises(RunFailedError, match="interrupted: its record was damaged"):
        submission.follow(run)
    again = submission.submit(workspace, request, source, {})
    assert again.outcome is Outcome.RESUMED
    assert again.note.startswith("run.json was damaged and is kept as run.json.damaged-1; the run goes on")
    assert submission.follow(run).attempt == 2
    starts = [line for line in run.merged_log.read_text().splitlines() if line.startswith("starting at")]
    assert int(starts[1].split()[-1]) >= 3
    whole = [line for line in (run.root / "events.jsonl").read_text().splitlines() if line.endswith("}")]
    assert [json.loads(line)["kind"] for line in whole][-6:] == ["recovered", "resumed", *["stage"] * 4, "end"][-6:]


@pytest.mark.parametrize("content", ['{"id": "x", "na', "[" * 100_000, "{}", '{"id": 7}', "\x00"])
def test_a_finished_run_reads_whole_with_a_damaged_record(workspace, source, request_for, content):
    run = submission.submit(workspace, request_for({"--steps": 2}), source, {}).directory
    whole = submission.follow(run)
    until(lambda: not run.has_supervisor())
    (run.root / "run.json").write_text(content)
    [listed], [indexed] = newest(workspace), index.newest(workspace)
    for record in (run.read(), listed, indexed):
        assert (record.status, record.name, record.outputs) == (Status.COMPLETED, "tiny", whole.outputs)
        assert (record.metrics, record.duration, record.tags) == (whole.metrics, whole.duration, whole.tags)
    state = {"workspace": str(workspace.root), "run_id": run.id}
    assert TrainingRunProvider().read(run.id, state).outs == {**state, "status": "completed", "drift": []}
    # Reading changes nothing.
    assert (run.root / "run.json").read_text() == content


def test_a_damaged_record_keeps_the_end_of_a_failed_run(workspace, source, request_for):
    run = submission.submit(workspace, request_for({"--exit": 3}), source, {}).directory
    with pytest.raises(RunFailedError):
        submission.follow(run)
    until(lambda: not run.has_supervisor())
    truncate(run)
    assert run.read().status is Status.FAILED
    assert "exited with code 3" in run.read().reason


def test_a_supervisor_writes_a_damaged_record_anew(workspace, source, request_for):
    request = request_for({"--steps": 15, "--pause": 0.1})
    run = submission.submit(workspace, request, source, {}).directory
    until(lambda: printed(run, "step 3"))
    truncate(run)
    again = submission.submit(workspace, request, source, {})
    assert again.outcome is Outcome.ATTACHED
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 1)


def test_a_retrained_run_is_not_taken_for_complete(workspace, source, request_for):
    run = submission.submit(workspace, request_for(), source, {}).directory
    submission.follow(run)
    until(lambda: not run.has_supervisor())
    run.event("stage", status="preparing", attempt=2, reason="")
    truncate(run)
    again = submission.submit(workspace, request_for(), source, {})
    assert again.outcome is Outcome.RESUMED
    assert submission.follow(run).attempt == 3
    kinds = [event["kind"] for event in events(run)]
    assert "recovered" in kinds


def test_a_late_supervisor_does_not_train_a_finished_run(workspace, source, request_for):
    run = submission.submit(workspace, request_for(), source, {}).directory
    submission.follow(run)
    until(lambda: not run.has_supervisor())
    before = (run.root / "events.jsonl").read_bytes()
    # Submitted when there was no attempt yet, like the first one, but it gets the lock only now.
    late = [sys.executable, "-m", "trainstack.core.runs.execution.supervisor", str(run.root), "0"]
    assert subprocess.run(late, stdin=subprocess.DEVNULL, timeout=60, check=False).returncode == 0
    assert (run.root / "events.jsonl").read_bytes() == before
    assert run.read().status is Status.COMPLETED


def test_a_submission_waits_while_a_failed_run_cleans_up(workspace, source, request_for):
    (source / "train.py").write_text(
        "import os, pathlib, sys\n"
        "state = pathlib.Path(os.environ['TRAINSTACK_CHECKPOINT_DIR'], 'state')\n"
        "again = state.exists()\nstate.write_text('1')\nsys.exit(0 if again else 3)\n"
    )
    run = submission.submit(workspace, request_for(), source, {}).directory
    with pytest.raises(RunFailedError):
        submission.follow(run)
    until(lambda: not run.has_supervisor())
    with run.lock() as held:  # as a supervisor does that has written its end and sweeps
        assert held
        outcomes = []
        thread = threading.Thread(
            target=lambda: outcomes.append(submission.submit(workspace, request_for(), source, {}).outcome)
        )
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(30)
    assert outcomes == [Outcome.RESUMED]
    assert submission.follow(run).attempt == 2
    assert json.loads((run.root / "run.json").read_text())["status"] == "completed"
