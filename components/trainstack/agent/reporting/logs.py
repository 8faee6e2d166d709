"""Write what ranks print: each to `rank-N.txt` byte for byte, all of them by line to the agent's output."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from pathlib import Path

from .lines import LineSplitter, plain
from .report import TAIL_LINES

_CHUNK = 64 * 1024
_WRITE_TIMEOUT_SECONDS = 0.2


class MergedOutput:
    """The agent's own standard output, where each line of each rank arrives whole."""

    def __init__(self, descriptor: int, prefixed: bool) -> None:
        """Write to `descriptor`; name the rank before each line when `prefixed`."""
        self._descriptor = descriptor
        self._prefixed = prefixed
        self._lock = threading.Lock()
        self.error = ""

    def print_message(self, text: str) -> None:
        """Print a line of the agent's own; drop it when nothing reads the output, so that the agent never blocks."""
        if not self._lock.acquire(timeout=_WRITE_TIMEOUT_SECONDS):
            return
        try:
            if select.select([], [self._descriptor], [], _WRITE_TIMEOUT_SECONDS)[1]:
                self._write(f"trainstack: {text}\n")
        finally:
            self._lock.release()

    def lines(self, rank: int, lines: list[str]) -> None:
        """Print lines of a rank."""
        if lines:
            prefix = f"[{rank}] " if self._prefixed else ""
            with self._lock:
                self._write("".join(f"{prefix}{line}\n" for line in lines))

    def _write(self, text: str) -> None:
        data = memoryview(text.encode("utf-8", errors="replace"))
        try:
            while data and not self.error:
                data = data[os.write(self._descriptor, data) :]
        except OSError as exc:
            # Nothing reads the output, or the disk is full. Training matters more than its merged log.
            self.error = f"merged log is cut short: {exc.strerror}"


class RankLog:
    """One rank's output, read by a thread of its own: a flood from one rank never holds up another."""

    def __init__(self, rank: int, path: Path, merged: MergedOutput) -> None:
        """Append the output of `rank` to the file `path`, and pass its lines to `merged`."""
        self.error = ""
        self._rank = rank
        self._path = path
        self._merged = merged
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._thread: threading.Thread | None = None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, without colours and control characters."""
        return tuple(self._tail.copy())

    def follow(self, descriptor: int) -> None:
        """Read `descriptor` until its end, in the background."""
        self._thread = threading.Thread(target=self._follow, args=(descriptor,), daemon=True, name=self._path.name)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait for the end of the output, but not longer than `seconds`: an orphan may hold it open."""
        if self._thread:
            self._thread.join(seconds)

    def _follow(self, descriptor: int) -> None:
        splitter = LineSplitter()
        try:
            file = self._open()
            while chunk := os.read(descriptor, _CHUNK):
                self._append(file, chunk)
                self._pass_on(splitter.feed(chunk))
            self._pass_on(splitter.finish())
            if file is not None:
                os.close(file)
        finally:
            os.close(descriptor)

    def _open(self) -> int | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            self._note_error(exc)
            return None

    def _append(self, file: int | None, chunk: bytes) -> None:
        """Write all of `chunk`; on a full disk go on reading, or the rank would stop in its next print."""
        data = memoryview(chunk)
        try:
            while file is not None and data:
                data = data[os.write(file, data) :]
        except OSError as exc:
            self._note_error(exc)

    def _note_error(self, exc: OSError) -> None:
        self.error = f"{self._path.name} is not complete: {exc.strerror}"

    def _pass_on(self, lines: list[str]) -> None:
        self._tail.extend(plain(line) for line in lines[-TAIL_LINES:])
        self._merged.lines(self._rank, lines)
