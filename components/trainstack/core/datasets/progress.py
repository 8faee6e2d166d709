"""The progress of a registration, in one line a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from trainstack.abbreviation import counted

INTERVAL_SECONDS = 0.25


class RegistrationProgress:
    """Reports the progress of many files that are processed at once.

    A line names the file that has been under way longest: `train.gz 4.1/9.9 MB · 3 of 4 files`.
    """

    def __init__(self, report: Callable[[str], None], files: int) -> None:
        self._report = report
        self._files = files
        self._finished = 0
        self._active: dict[str, tuple[int, int | None]] = {}
        self._lock = threading.Lock()
        self._next = 0.0

    def at(self, name: str, done: int, size: int | None) -> None:
        """Report the progress of a file, in bytes."""
        with self._lock:
            self._active[name] = (done, size)
            now = time.monotonic()
            if now < self._next:
                return
            self._next = now + INTERVAL_SECONDS
            oldest, (done, size) = next(iter(self._active.items()))
            line = f"{oldest} {format_bytes(done, size)} · {self._finished} of {counted(self._files, 'file')}"
        self._report(line)

    def finish(self, name: str) -> None:
        """Report that a file is finished."""
        with self._lock:
            self._active.pop(name, None)
            self._finished += 1
            if self._finished < self._files:
                return
        self._report(f"{self._files} of {counted(self._files, 'file')}")


def format_bytes(done: int, size: int | None) -> str:
    """Bytes done, of bytes in all where that is known, in the unit that suits."""
    largest = max(done, size or 0)
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if largest >= factor:
            whole = f"/{size / factor:.1f}" if size is not None else ""
            return f"{done / factor:.1f}{whole} {unit}"
    return f"{done}/{size} bytes" if size is not None else f"{done} bytes"
