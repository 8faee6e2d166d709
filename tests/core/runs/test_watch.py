"""What ends a run from outside, and that no wall clock does."""

import itertools
import time

import pytest
from tests.waiting import until

from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution import submission, watch
from trainstack.core.runs.execution.supervisor import Supervisor
from trainstack.core.runs.execution.watch import Stopped, Watch


def test_a_run_that_wants_followers_ends_without_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "DISCONNECT_SECONDS", 0.3)
    watched = Watch(tmp_path, stop_when_alone=True)
    for _ in range(5):
        time.sleep(0.1)
        (tmp_path / "followed").touch()
        watched.check()
    with pytest.raises(Stopped, match="nobody followed it"):
        watched.pause(5)


def test_a_run_that_continues_needs_no_followers(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "DISCONNECT_SECONDS", 0.0)
    Watch(tmp_path).pause(0.2)


def test_following_shows_itself_to_the_supervisor(workspace, source, request_for):
    run = submission.submit(workspace, request_for({"--steps": 20, "--pause": 0.1}), source, {}).directory
    assert not (run.root / "followed").exists()
    submission.follow(run)
    assert (run.root / "followed").exists()
    until(lambda: not run.has_supervisor())


def test_a_clock_that_jumps_by_days_ends_nothing(workspace, source, request_for, monkeypatch):
    """The supervisor runs in this process, under a clock that jumps a day ahead or back at every look."""
    request = request_for({"--steps": 10, "--pause": 0.1}, timeout=60, on_disconnect="stop")
    monkeypatch.setattr(submission, "_start_supervisor", lambda *_: None)
    run: RunDirectory = submission.submit(workspace, request, source, {}).directory
    real, jumps = time.time, itertools.cycle((0, 86_400, -86_400))
    with run.lock() as mine:
        assert mine
        monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
        Supervisor(run, {}).run()
        monkeypatch.undo()
    record = run.read()
    assert (record.status, record.reason) == (Status.COMPLETED, "")
    assert record.duration is not None
    assert 1 <= record.duration < 30
