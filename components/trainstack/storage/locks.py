"""Advisory locks on files, between the processes of one machine: exclusive or shared, waited for or tried.

A lock lasts for a `with` block. The kernel frees it when the last process that has the file open ends, so a process
that is killed leaves no lock behind. Lock files are made when missing and stay; only `exclusive_while` removes its own.

    exclusive        wait until nobody else has the lock
    shared           wait until nobody has it exclusively
    try_exclusive    take it, or learn at once that another process has it
    exclusive_while  wait for it, and give up when it is no longer needed
    is_locked        look whether a process has it exclusively
    try_lock         lock a file that is open already
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

from trainstack.errors import TrainstackError
from trainstack.storage.atomic import disk_errors

LOOK_SECONDS = 2.0
"""A `patience` for `try_exclusive` that outlasts the moment for which `is_locked` holds a lock."""
_POLL_SECONDS = 0.002
_STILL_NEEDED_SECONDS = 1.0


def _nothing() -> None:
    return


@contextlib.contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = _nothing) -> Generator[int]:
    """Hold a lock that no other process holds.

    Args:
        path: The lock file.
        on_wait: Called once before waiting for another holder.

    Yields:
        The descriptor. A child that inherits it (`subprocess`'s `pass_fds`) holds the lock too: an installer that
        outlives its killed parent still keeps others away from the folder that it writes.
    """
    with _waited_for(path, fcntl.LOCK_EX, on_wait) as descriptor:
        yield descriptor


@contextlib.contextmanager
def shared(path: Path, on_wait: Callable[[], None] = _nothing) -> Generator[None]:
    """Hold a lock together with any number of other `shared` holders, and with no `exclusive` one.

    Who only reads need not be allowed to write: where the lock file is missing and cannot be made, there is no lock.

    Args:
        path: The lock file.
        on_wait: Called once before waiting for an exclusive holder.
    """
    held = contextlib.ExitStack()
    try:
        held.enter_context(_waited_for(path, fcntl.LOCK_SH, on_wait))
    except TrainstackError:
        if path.exists() or os.access(path.parent, os.W_OK):
            raise
    with held:
        yield


@contextlib.contextmanager
def try_exclusive(path: Path, patience: float = 0.0, *, make_folder: bool = True) -> Generator[bool]:
    """Hold a lock as `exclusive` does, if no other process holds it.

    Args:
        path: The lock file.
        patience: Seconds to try for. `LOOK_SECONDS` does not mistake another process's `is_locked` for a holder.
        make_folder: Whether to make the file's folder when it is missing.

    Yields:
        Whether this process has the lock.

    Raises:
        FileNotFoundError: The folder is missing, and `make_folder` is false.
    """
    descriptor = _opened(path, make_folder=make_folder)
    deadline = time.monotonic() + patience
    try:
        while not (acquired := try_lock(descriptor)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        yield acquired
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive_while(path: Path, needed: Callable[[], bool]) -> Generator[bool]:
    """Wait for a lock whose file exists only while it is held.

    Args:
        path: The lock file. Just when a holder releases it, two processes may hold it: what it guards must bear that.
        needed: Called while waiting; false ends the wait.

    Yields:
        Whether this process has the lock.
    """
    descriptor = _opened(path)
    try:
        while not try_lock(descriptor):
            time.sleep(_STILL_NEEDED_SECONDS)
            if not needed():
                yield False
                return
        yield True
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a living process holds a lock exclusively; a file that does not exist is not locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file exclusively until it is closed; return false when another process holds it."""
    return _flock(descriptor, fcntl.LOCK_EX)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path, *, make_folder: bool = True) -> int:
    with disk_errors(path):
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            # Another user's, or on a disk that is read-only: a lock takes no more than an open file.
            with contextlib.suppress(OSError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            raise


@contextlib.contextmanager
def _waited_for(path: Path, kind: int, on_wait: Callable[[], None]) -> Generator[int]:
    descriptor = _opened(path)
    try:
        if not _flock(descriptor, kind):
            on_wait()
            fcntl.flock(descriptor, kind)
        yield descriptor
    finally:
        os.close(descriptor)
