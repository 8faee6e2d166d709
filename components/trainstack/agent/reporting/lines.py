"""Cut a byte stream into lines to show: progress bars thinned out, endless lines cut, UTF-8 mended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

LONGEST_LINE = 16 * 1024
"""Bytes after which a line without an end is cut."""
PROGRESS_SECONDS = 1.0
"""Between two states of a progress bar that are passed on."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class LineSplitter:
    """Turns chunks into lines; keeps at most one chunk and one unfinished line.

    A carriage return starts a line anew, as on a terminal: of a progress bar's states only one a second is
    passed on, and its last.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rest = b""
        self._shown = float("-inf")

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes in and return the lines that they complete, without their ends."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        lines = [piece for line in whole for piece in _cut(_last_state(line))]
        # A trailing carriage return stays: it may be half of the end of a line.
        before, returned, after = rest[:-1].rpartition(b"\r")
        if returned:
            rest = after + rest[-1:]
            state = _last_state(before)
            if state and self._clock() - self._shown >= PROGRESS_SECONDS:
                self._shown = self._clock()
                lines += _cut(state)
        while len(rest) > LONGEST_LINE:
            piece = _first_piece(rest)
            lines.append(_text(piece))
            rest = rest[len(piece) :]
        self._rest = rest
        return lines

    def finish(self) -> list[str]:
        """Return the last line, when it had no end."""
        rest, self._rest = self._rest, b""
        state = _last_state(rest)
        return _cut(state) if state else []


def plain(line: str, longest: int = 2000) -> str:
    """Return `line` without colours and control characters, at most `longest` characters of it."""
    return _ESCAPES.sub("", line)[:longest]


def _last_state(line: bytes) -> bytes:
    """Return what a terminal would show of a line with carriage returns in it."""
    line = line.rstrip(b"\r").replace(b"\b", b"")
    return next((state for state in reversed(line.split(b"\r")) if state.strip()), b"")


def _cut(line: bytes) -> list[str]:
    pieces: list[str] = []
    while len(line) > LONGEST_LINE:
        piece = _first_piece(line)
        pieces.append(_text(piece))
        line = line[len(piece) :]
    return [*pieces, _text(line)]


def _first_piece(line: bytes) -> bytes:
    """Return the first bytes of a long line, not ending inside a character."""
    end = LONGEST_LINE
    while end > LONGEST_LINE - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end]


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")
