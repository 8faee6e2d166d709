"""A supervisor that is stopped (SIGSTOP) is noticed, and ended with all that it started."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.core.sample_runs import printed
from tests.waiting import until

from trainstack.core.runs import heartbeat
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.execution import submission
from trainstack.errors import TrainstackError
from trainstack.targets.local.orphans import processes


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(heartbeat, "HUNG_SECONDS", 2.0)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.5)


@pytest.fixture
def hung(workspace, source, request_for) -> RunDirectory:
    """A run whose supervisor and processes are all stopped."""
    run = submission.submit(workspace, request_for({"--steps": 3000, "--pause": 0.1}, grace=1), source, {}).directory
    until(lambda: printed(run, "step 3"))
    supervisor = run.read().supervisor
    assert supervisor is not None
    for pid in (supervisor, *processes(run.root)):
        os.kill(pid, signal.SIGSTOP)
    return run


def test_a_hung_supervisor_is_shown_and_followed_as_one(hung):
    until(lambda: "hangs" in hung.read().reason)
    assert f"`trainstack runs stop {hung.id}` ends it" in hung.read().reason
    lines: list[str] = []
    with contextlib.suppress(RuntimeError):
        submission.follow(hung, lambda line: _note(lines, line))
    assert "its supervisor hangs, no sign for" in lines[-1]
    submission.stop(hung, "stopped")


def _note(lines: list[str], line: str) -> None:
    lines.append(line)
    if "hangs" in line:
        raise RuntimeError


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_stop_ends_a_hung_supervisor_and_its_processes(hung):
    supervisor = hung.read().supervisor
    assert processes(hung.root)
    record = submission.stop(hung, "no longer needed", wait=60)
    assert (record.status, record.reason, record.attempt) == (Status.CANCELED, "no longer needed", 1)
    until(lambda: not hung.has_supervisor() and not processes(hung.root))
    assert not runs(supervisor)


def test_a_process_that_does_not_hold_the_run_is_not_killed(tmp_path):
    (tmp_path / "lock").touch()
    with pytest.raises(TrainstackError, match="no process of this machine"):
        heartbeat.kill(tmp_path, os.getpid())
    with pytest.raises(TrainstackError, match="no process of this machine"):
        heartbeat.kill(tmp_path, None)


def test_a_busy_main_thread_does_not_hang(tmp_path):
    with heartbeat.beating(tmp_path):
        until(lambda: (tmp_path / "heartbeat").exists())
        first = (tmp_path / "heartbeat").stat().st_mtime_ns
        until(lambda: (tmp_path / "heartbeat").stat().st_mtime_ns > first)
        assert not heartbeat.hangs(tmp_path)
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]


def test_a_heartbeat_under_a_clock_that_jumped_is_looked_at_twice(tmp_path, monkeypatch):
    with heartbeat.beating(tmp_path):
        until(lambda: (tmp_path / "heartbeat").exists())
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 86_400)
        assert heartbeat.silence(tmp_path) > 80_000
        assert not heartbeat.hangs(tmp_path)
