"""Locks between processes: who waits, who is refused, and what a killed holder leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainstack.storage import locks
from trainstack.storage.locks import exclusive, exclusive_while, is_locked, shared, try_exclusive, try_lock


def holder(lock: Path, children: str = "") -> subprocess.Popen[str]:
    """Start a process that holds the lock until it is killed."""
    script = textwrap.dedent(f"""
        import subprocess, time
        from pathlib import Path
        from trainstack.storage.locks import exclusive
        with exclusive(Path({str(lock)!r})) as descriptor:
            {children}
            print("locked", flush=True)
            time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A lock file that another process holds."""
    process = holder(tmp_path / "lock")
    yield tmp_path / "lock"
    process.kill()
    process.wait()


def test_a_second_process_is_told_that_it_waits(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")

    def on_wait() -> None:
        calls.append("waiting")
        process.kill()

    calls: list[str] = []
    with exclusive(tmp_path / "lock", on_wait):
        pass
    process.wait()
    assert calls == ["waiting"]


def test_a_child_keeps_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock", "subprocess.Popen(['sleep', '1.5'], pass_fds=(descriptor,))")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    calls: list[str] = []
    began = time.monotonic()
    with exclusive(tmp_path / "lock", lambda: calls.append("waiting")):
        assert time.monotonic() - began > 0.5
    assert calls == ["waiting"]


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on purpose"), exclusive(tmp_path / "lock"):
        raise ValueError("on purpose")
    with exclusive(tmp_path / "lock", lambda: pytest.fail("it is still held")):
        pass


def test_many_share_a_lock(tmp_path: Path) -> None:
    with shared(tmp_path / "lock"), shared(tmp_path / "lock", lambda: pytest.fail("it waits")):
        pass


def test_shared_waits_for_exclusive(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")
    calls: list[str] = []

    def on_wait() -> None:
        calls.append("waiting")
        process.kill()

    with shared(tmp_path / "lock", on_wait):
        pass
    process.wait()
    assert calls == ["waiting"]


def test_exclusive_waits_for_shared(tmp_path: Path) -> None:
    with shared(tmp_path / "lock"):
        process = subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        assert process.poll() is None
    assert process.stdout.readline() == "locked\n"
    assert process.wait() == 0


TAKER = """
import sys
from pathlib import Path
from trainstack.storage.locks import exclusive
with exclusive(Path(sys.argv[1]), lambda: print("waiting", flush=True)):
    print("locked", flush=True)
"""


def test_try_exclusive_takes_a_free_lock(tmp_path: Path) -> None:
    with try_exclusive(tmp_path / "folder" / "lock") as acquired:
        assert acquired
        assert is_locked(tmp_path / "folder" / "lock")


def test_try_exclusive_is_refused_at_once(locked: Path) -> None:
    with try_exclusive(locked) as acquired:
        assert not acquired


def test_try_exclusive_with_patience_outlasts_a_look(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    looking = shared(path)
    looking.__enter__()
    attempts: list[int] = []

    def sleep(_seconds: float) -> None:
        attempts.append(1)
        looking.__exit__(None, None, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks.time, "sleep", sleep)
        with try_exclusive(path, locks.LOOK_SECONDS) as acquired:
            assert acquired
    assert attempts == [1]


def test_try_exclusive_can_leave_a_missing_folder_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), try_exclusive(tmp_path / "folder" / "lock", make_folder=False):
        pass
    assert not (tmp_path / "folder").exists()


def test_exclusive_while_removes_its_file(tmp_path: Path) -> None:
    with exclusive_while(tmp_path / "lock", lambda: True) as acquired:
        assert acquired
        assert is_locked(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_exclusive_while_gives_up_when_not_needed(locked: Path) -> None:
    with exclusive_while(locked, lambda: False) as acquired:
        assert not acquired
    assert locked.exists()


def test_is_locked_sees_an_exclusive_holder(locked: Path) -> None:
    assert is_locked(locked)


def test_is_locked_ignores_shared_holders_and_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "missing")
    with shared(tmp_path / "lock"):
        assert not is_locked(tmp_path / "lock")


def test_try_lock_holds_until_the_file_closes(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("wb") as file, (tmp_path / "lock").open("wb") as other:
        assert try_lock(file.fileno())
        assert not try_lock(other.fileno())
    assert not is_locked(tmp_path / "lock")
