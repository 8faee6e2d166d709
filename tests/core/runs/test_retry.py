"""Retries inside one submission: only what another start can cure, with growing pauses, and the reason in the row."""

import json
import os
import signal
from pathlib import Path

import pytest
from tests.core.sample_runs import events, printed
from tests.waiting import until

from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import retry, submission
from trainstack.core.runs.record import Cause, Failure
from trainstack.errors import RunFailedError
from trainstack.targets.local.orphans import processes

SCRIPT = """
import os, pathlib, signal
count = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "starts")
starts = int(count.read_text()) if count.exists() else 0
count.write_text(str(starts + 1))
if starts < TIMES:
    END
"""


def dying(times: int, end: str) -> str:
    """A script that ends badly the first so many times that it starts."""
    return SCRIPT.replace("TIMES", str(times)).replace("END", end)


KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def test_a_killed_script_starts_again_after_a_growing_pause(workspace, source, request_for):
    (source / "train.py").write_text(dying(2, KILL))
    lines = []
    run = submission.submit(workspace, request_for(max_attempts=3, backoff=0.4), source, {}).directory
    record = submission.follow(run, lines.append)
    assert (record.status, record.attempt) == (Status.COMPLETED, 3)
    assert record.failure is None
    waits = [event for event in events(run) if event["kind"] == "retry"]
    assert [(wait["attempt"], wait["of"], wait["seconds"]) for wait in waits] == [(2, 3, 0.4), (3, 3, 0.8)]
    assert any("attempt 2 of 3 in 0.4 s: rank 0 was ended by SIGKILL" in line for line in lines)
    until(lambda: not run.has_supervisor())
    assert not processes(run.root)


def test_attempts_are_not_more_than_were_asked_for(workspace, source, request_for):
    (source / "train.py").write_text(dying(9, KILL))
    run = submission.submit(workspace, request_for(max_attempts=2, backoff=0), source, {}).directory
    with pytest.raises(RunFailedError, match="rank 0 was ended by SIGKILL"):
        submission.follow(run)
    record = run.read()
    assert (record.status, record.attempt) == (Status.FAILED, 2)
    assert record.failure is not None
    assert record.failure.cause is Cause.SIGNAL


def test_an_exit_code_is_believed_unless_it_is_listed(workspace, source, request_for):
    (source / "train.py").write_text(dying(1, "raise SystemExit(7)"))
    request = request_for(max_attempts=3, backoff=0)
    run = submission.submit(workspace, request, source, {}).directory
    with pytest.raises(RunFailedError, match="code 7"):
        submission.follow(run)
    assert run.read().attempt == 1

    (source / "train.py").write_text(dying(1, "raise SystemExit(8)"))
    run = submission.submit(
        workspace, request_for(max_attempts=3, backoff=0, retry_exit_codes=(8,)), source, {}
    ).directory
    assert submission.follow(run).attempt == 2


def test_a_lost_agent_is_a_lost_node_and_retried(workspace, source, request_for):
    request = request_for({"--steps": 30, "--pause": 0.1}, max_attempts=2, backoff=0)
    run = submission.submit(workspace, request, source, {}).directory
    until(lambda: printed(run, "step 3"))
    agent = json.loads((run.reports / "node-0.json").read_text())["agent_pid"]
    os.kill(agent, signal.SIGKILL)
    assert submission.follow(run).attempt == 2
    [wait] = [event for event in events(run) if event["kind"] == "retry"]
    assert "node 0 was lost: its agent was ended by signal 9" in wait["reason"]
    starts = [line for line in run.merged_log.read_text().splitlines() if line.startswith("starting at")]
    assert int(starts[1].split()[-1]) >= 3


def test_a_run_that_waits_for_its_next_attempt_can_be_stopped(workspace, source, request_for):
    (source / "train.py").write_text(dying(9, KILL))
    run = submission.submit(workspace, request_for(max_attempts=9, backoff=60), source, {}).directory
    until(lambda: "attempt 2 of 9 in 60 s" in run.read().reason)
    assert submission.stop(run, "enough").status is Status.CANCELED


def test_how_often_and_how_long_is_no_part_of_what_a_run_is(request_for):
    usual, patient = request_for(), request_for(max_attempts=9, backoff=60, on_disconnect="stop")
    assert usual.spec.fingerprint == patient.spec.fingerprint


def test_pauses_double_up_to_five_minutes():
    assert [retry.backoff(2, tries) for tries in (1, 2, 3, 9, 99)] == [2, 4, 8, 300, 300]


@pytest.fixture
def small_memory():
    """A memory cgroup of 64 MiB, where the kernel lets us make one."""
    group = Path("/sys/fs/cgroup/memory") / f"trainstack-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 * 2**20))
    except OSError:
        pytest.skip("making a memory cgroup takes root and cgroups of version 1")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def test_a_script_out_of_memory_starts_again_with_a_hint(workspace, source, request_for, small_memory):
    (source / "train.py").write_text(
        dying(1, f"pathlib.Path('{small_memory}/cgroup.procs').write_text(str(os.getpid())); bytearray(200 * 2**20)")
    )
    run = submission.submit(workspace, request_for(max_attempts=2, backoff=0), source, {}).directory
    assert submission.follow(run).attempt == 2
    [wait] = [event for event in events(run) if event["kind"] == "retry"]
    assert "rank 0 was ended by SIGKILL (the kernel ends processes when memory runs out" in wait["reason"]
    assert "take a larger `vm_size`" in wait["reason"]


def test_a_failure_before_the_script_is_not_retried(request_for):
    assert not retry.curable(None, request_for(max_attempts=3))
    assert not retry.curable(Failure(cause=Cause.OTHER), request_for(max_attempts=3))
