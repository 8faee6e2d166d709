"""A supervisor that is killed after its script ended well: the script does not run again."""

import os
import signal

import pytest
from tests.core.sample_runs import events
from tests.waiting import until

from trainstack.agent.reporting.report import SUCCEEDED, read_report
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.submission import Outcome

SCRIPT = """
import os, pathlib, sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
starts, go = pathlib.Path(arguments["--starts"]), pathlib.Path(arguments["--go"])
with starts.open("a") as file:
    file.write("started\\n")
while not go.exists():
    time.sleep(0.02)
pathlib.Path("outputs/model").write_text("weights")
with open("outputs/large", "wb") as file:
    file.truncate(int(arguments["--size"]))
"""
LARGE = 2 * 2**30


@pytest.fixture
def run_of(tmp_path, workspace, source, request_for):
    (source / "train.py").write_text(SCRIPT)

    def submit(size: int):
        arguments = {"--starts": str(tmp_path / "starts"), "--go": str(tmp_path / "go"), "--size": size}
        return submission.submit(workspace, request_for(arguments), source, {})

    return submit


def kill_supervisor(run) -> None:
    supervisor = run.read().supervisor
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not run.has_supervisor())


def test_a_supervisor_killed_while_finalizing_trains_nothing_again(run_of, tmp_path):
    (tmp_path / "go").touch()
    run = run_of(LARGE).directory
    until(lambda: run.read().status is Status.FINALIZING)
    kill_supervisor(run)
    assert run.read().status is Status.INTERRUPTED
    again = run_of(LARGE)
    assert again.outcome is Outcome.RESUMED
    record = submission.follow(run)
    assert (tmp_path / "starts").read_text() == "started\n"
    assert (record.attempt, sorted(record.outputs)) == (1, ["large", "model"])
    assert [stage.name.value for stage in record.stages] == ["preparing", "scaling", "running", "finalizing"]
    assert "finalizing only" in [event["kind"] for event in events(run)]
    assert record.duration is not None


def test_a_script_that_ends_after_its_supervisor_hung_is_not_run_again(run_of, tmp_path):
    run = run_of(10).directory
    until(lambda: (tmp_path / "starts").exists())
    supervisor = run.read().supervisor
    os.kill(supervisor, signal.SIGSTOP)
    (tmp_path / "go").touch()
    until(lambda: (report := read_report(run.reports, 0)) is not None and report.state == SUCCEEDED)
    assert run.read().status is Status.RUNNING
    kill_supervisor(run)
    run_of(10)
    record = submission.follow(run)
    assert (tmp_path / "starts").read_text() == "started\n"
    assert (record.status, record.attempt) == (Status.COMPLETED, 1)


def test_a_script_whose_outputs_are_gone_runs_again(run_of, tmp_path):
    (tmp_path / "go").touch()
    run = run_of(LARGE).directory
    until(lambda: run.read().status is Status.FINALIZING)
    kill_supervisor(run)
    run.outputs.rename(tmp_path / "outputs")
    run_of(LARGE)
    assert submission.follow(run).attempt == 2
    assert (tmp_path / "starts").read_text() == "started\nstarted\n"


def test_a_stop_that_comes_while_finalizing_is_too_late(run_of, tmp_path):
    (tmp_path / "go").touch()
    run = run_of(LARGE).directory
    until(lambda: run.read().status is Status.FINALIZING)
    assert submission.stop(run, "stopped", wait=120).status is Status.COMPLETED
