"""The sign of life that a supervisor gives: a file that it touches every second, from a thread of its own.

The run's lock says that a supervisor lives, the heartbeat that it moves: a process that was stopped (SIGSTOP, a frozen
container) holds its lock for ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator
from pathlib import Path

from trainstack.errors import TrainstackError

BEAT_SECONDS = 1.0
HUNG_SECONDS = 15.0
"""A supervisor that gives no sign for so long is said to hang."""
_FILE = "heartbeat"


@contextlib.contextmanager
def beating(folder: Path) -> Generator[None]:
    """Give signs of life while the block lasts, whatever the main thread waits for.

    Args:
        folder: The run directory.
    """
    ended = threading.Event()

    def beat() -> None:
        while True:
            # A full disk or a folder that was removed is for others to speak of.
            with contextlib.suppress(OSError):
                (folder / _FILE).touch()
            if ended.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def silence(folder: Path) -> float:
    """Seconds since a supervisor last gave a sign of life; 0 where it has not given any yet."""
    with contextlib.suppress(OSError):
        return max(0.0, time.time() - (folder / _FILE).stat().st_mtime)
    return 0.0


def hangs(folder: Path) -> bool:
    """Whether a supervisor gives no sign of life; looks twice, because a clock may have jumped."""
    if silence(folder) < HUNG_SECONDS:
        return False
    first = (folder / _FILE).stat().st_mtime_ns
    time.sleep(3 * BEAT_SECONDS)
    return (folder / _FILE).stat().st_mtime_ns == first


def kill(folder: Path, pid: int | None) -> None:
    """SIGKILL a supervisor that hangs.

    Args:
        folder: The run directory.
        pid: The process that the run's record names.

    Raises:
        TrainstackError: It is not this machine's process that holds the run's lock.
    """
    if pid is None or not _holds(pid, folder / "lock"):
        raise TrainstackError(
            f"run {folder.name}: its supervisor hangs, and is no process of this machine: end it there"
        )
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _holds(pid: int, lock: Path) -> bool:
    """Whether a process has the lock open; where there is no `/proc`, the record is believed."""
    descriptors = Path(f"/proc/{pid}/fd")
    if not Path("/proc/self/fd").is_dir():
        return True
    with contextlib.suppress(OSError):
        return any(path.exists() and path.samefile(lock) for path in descriptors.iterdir())
    return False
