"""Hold a lock file, or look whether some process does, without holding it up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

_PAUSE_SECONDS = 1.0


@contextlib.contextmanager
def hold(path: Path, wanted: Callable[[], bool]) -> Generator[bool]:
    """Wait for a lock file that is there only while it is held; whoever is killed gives it back.

    Args:
        path: The file. Rarely two hold it at once, just when one gives it back: what it guards must bear that.
        wanted: Asked while it is waited for, whether it still is.

    Yields:
        Whether it is held; otherwise it was wanted no more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while not _taken(descriptor):
            time.sleep(_PAUSE_SECONDS)
            if not wanted():
                yield False
                return
        yield True
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held(path: Path) -> bool:
    """Whether a living process holds an exclusive lock on a file; a file that is not there is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
