"""Write what ranks print, once and by line, to the agent's output, which is the run's log."""

from __future__ import annotations

import os
import select
import threading
from collections import deque

from .lines import LineSplitter, plain
from .report import TAIL_LINES

_CHUNK = 64 * 1024
_WRITE_TIMEOUT_SECONDS = 0.2
END_BYTES = 1024 * 1024
"""How much of the end is kept of a log that reached its limit."""


class MergedOutput:
    """The agent's own standard output, where each line of each rank arrives whole.

    Past the limit it holds the last `END_BYTES` in memory and writes them at the end: the middle is left out.
    """

    def __init__(self, descriptor: int, prefixed: bool, limit: int = 0) -> None:
        """Write to `descriptor`; name the rank before each line when `prefixed`; 0 is no limit of bytes."""
        self._descriptor = descriptor
        self._prefixed = prefixed
        self._limit = limit
        self._written = self._held = self._left_out = 0
        self._end: deque[bytes] = deque()
        self._lock = threading.Lock()
        self.error = ""

    def print_message(self, text: str) -> None:
        """Print a line of the agent's own; drop it when nothing reads the output, so that the agent never blocks."""
        if not self._lock.acquire(timeout=_WRITE_TIMEOUT_SECONDS):
            return
        try:
            if select.select([], [self._descriptor], [], _WRITE_TIMEOUT_SECONDS)[1]:
                self._take(f"trainstack: {text}\n")
        finally:
            self._lock.release()

    def lines(self, rank: int, lines: list[str]) -> None:
        """Print lines of a rank."""
        if lines:
            prefix = f"[{rank}] " if self._prefixed else ""
            with self._lock:
                self._take("".join(f"{prefix}{line}\n" for line in lines))

    def finish(self) -> None:
        """Write the end of a log that reached its limit. What comes after that is written as it comes."""
        if not self._lock.acquire(timeout=_WRITE_TIMEOUT_SECONDS):
            return
        try:
            # Nobody may read the output any more: then the end is lost, and the agent ends all the same.
            if self._end and select.select([], [self._descriptor], [], _WRITE_TIMEOUT_SECONDS)[1]:
                if self._left_out:
                    self._write(f"trainstack: {self._left_out:,} bytes are left out here, by log_limit\n".encode())
                self._write(b"".join(self._end))
            self._end.clear()
            self._limit = 0
        finally:
            self._lock.release()

    def _take(self, text: str) -> None:
        data = text.encode("utf-8", errors="replace")
        if not self._limit or (self._written + len(data) <= self._limit and not self._end):
            self._written += len(data)
            self._write(data)
            return
        if not self._end:
            note = f"the log reached its log_limit of {self._limit:,} bytes; its end follows when the run ends"
            self._write(f"trainstack: {note}\n".encode())
        self._end.append(data)
        self._held += len(data)
        while self._held - len(self._end[0]) > END_BYTES:
            dropped = len(self._end.popleft())
            self._held -= dropped
            self._left_out += dropped

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and not self.error:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as exc:
            # Nothing reads the output, or the disk is full. Training matters more than its log.
            self.error = f"the log is cut short: {exc.strerror}"


class RankOutput:
    """One rank's output, read by a thread of its own: a flood from one rank never holds up another."""

    def __init__(self, rank: int, merged: MergedOutput) -> None:
        """Pass the lines of `rank` to `merged`."""
        self._rank = rank
        self._merged = merged
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._thread: threading.Thread | None = None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, without colours and control characters."""
        return tuple(self._tail.copy())

    def follow(self, descriptor: int) -> None:
        """Read `descriptor` until its end, in the background."""
        name = f"rank-{self._rank}"
        self._thread = threading.Thread(target=self._follow, args=(descriptor,), daemon=True, name=name)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait for the end of the output, but not longer than `seconds`: an orphan may hold it open."""
        if self._thread:
            self._thread.join(seconds)

    def _follow(self, descriptor: int) -> None:
        splitter = LineSplitter()
        try:
            while chunk := os.read(descriptor, _CHUNK):
                self._pass_on(splitter.feed(chunk))
            self._pass_on(splitter.finish())
        finally:
            os.close(descriptor)

    def _pass_on(self, lines: list[str]) -> None:
        self._tail.extend(plain(line) for line in lines[-TAIL_LINES:])
        self._merged.lines(self._rank, lines)
