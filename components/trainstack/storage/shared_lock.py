"""Let one process at a time work on a folder, or many and no other kind, whatever kills whom."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

from trainstack.storage.atomic import disk_errors


@contextlib.contextmanager
def alone(path: Path, waiting: Callable[[], None]) -> Generator[int]:
    """Hold a lock file for the time of the block.

    The kernel frees it when the last process that has it open ends. A child that gets the descriptor
    (`subprocess`'s `pass_fds`) holds it too, so that an installer which outlives its killed parent still keeps
    others away from the folder that it is writing.

    Args:
        path: The lock file; made when missing, never removed.
        waiting: Is called once if another process holds it, before waiting for that one.

    Yields:
        The descriptor.
    """
    with _held(path, fcntl.LOCK_EX, waiting) as descriptor:
        yield descriptor


@contextlib.contextmanager
def together(path: Path, waiting: Callable[[], None] = lambda: None) -> Generator[None]:
    """Hold a lock file for the time of the block beside any number of others who do so, and beside no `alone`.

    Args:
        path: The lock file; made when missing, never removed.
        waiting: Is called once if a process holds it alone, before waiting for that one.
    """
    with _held(path, fcntl.LOCK_SH, waiting):
        yield


@contextlib.contextmanager
def alone_at_once(path: Path) -> Generator[bool]:
    """Hold a lock file as `alone` does, or not at all when another process holds it; gives which."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone_soon(path: Path, seconds: float = 2.0) -> Generator[bool]:
    """Hold a lock file as `alone_at_once` does, and do not take somebody's momentary look at it for a holder."""
    deadline = time.monotonic() + seconds
    while True:
        with alone_at_once(path) as mine:
            if mine or time.monotonic() > deadline:
                yield mine
                return
        time.sleep(0.01)


@contextlib.contextmanager
def _held(path: Path, kind: int, waiting: Callable[[], None]) -> Generator[int]:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, kind)
        yield descriptor
    finally:
        os.close(descriptor)
