"""One process at a time, and its children with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from trainstack.storage.shared_lock import alone, together


def holder(lock: Path, children: str = "") -> subprocess.Popen[str]:
    """Start a process that holds the lock until it is killed."""
    script = textwrap.dedent(f"""
        import subprocess, time
        from pathlib import Path
        from trainstack.storage.shared_lock import alone
        with alone(Path({str(lock)!r}), lambda: None) as held:
            {children}
            print("held", flush=True)
            time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_that_it_waits(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")

    def waiting() -> None:
        told.append("waiting")
        process.kill()

    told: list[str] = []
    with alone(tmp_path / "lock", waiting):
        pass
    process.wait()
    assert told == ["waiting"]


def test_a_child_that_outlives_its_killed_parent_still_keeps_others_away(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock", "subprocess.Popen(['sleep', '1.5'], pass_fds=(held,))")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    told: list[str] = []
    began = time.monotonic()
    with alone(tmp_path / "lock", lambda: told.append("waiting")):
        assert time.monotonic() - began > 0.5
    assert told == ["waiting"]


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on purpose"), alone(tmp_path / "lock", lambda: None):
        raise ValueError("on purpose")
    with alone(tmp_path / "lock", lambda: pytest.fail("it is still held")):
        pass


def test_many_hold_a_lock_together(tmp_path: Path) -> None:
    with together(tmp_path / "lock"), together(tmp_path / "lock", lambda: pytest.fail("it waits")):
        pass


def test_together_waits_for_alone(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")
    told: list[str] = []

    def waiting() -> None:
        told.append("waiting")
        process.kill()

    with together(tmp_path / "lock", waiting):
        pass
    process.wait()
    assert told == ["waiting"]


def test_alone_waits_for_together(tmp_path: Path) -> None:
    with together(tmp_path / "lock"):
        process = subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        assert process.poll() is None
    assert process.stdout.readline() == "held\n"
    assert process.wait() == 0


TAKER = """
import sys
from pathlib import Path
from trainstack.storage.shared_lock import alone
with alone(Path(sys.argv[1]), lambda: print("waiting", flush=True)):
    print("held", flush=True)
"""
