"""Read a log that may not be there yet and is still being written."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

_CHUNK = 64 * 1024
_PAUSE = 0.1


def follow(path: Path, ended: Callable[[], bool], last: int | None = None, prefix: bytes = b"") -> Iterator[bytes]:
    """Yield a log's bytes as they come, until there will be no more.

    Args:
        path: The log; it may appear later.
        ended: Asked again and again; once it says so, what is there by then is the last.
        last: Start with so many of the lines that are there already; with all when left out.
        prefix: Only lines that begin with it, without it.

    Yields:
        Chunks of the log, none of them empty.
    """
    file: IO[bytes] | None = None
    rest = b""
    try:
        while True:
            # Asked before reading: what was written before the end is then read after it.
            over = ended()
            if file is not None:
                file = _as_it_is_now(path, file)
            if file is None and path.is_file():
                file = path.open("rb")
                file.seek(_start_of_prefixed(file, last, prefix) if prefix else _start(file, last))
            while file is not None and (chunk := file.read(_CHUNK)):
                if not prefix:
                    yield chunk
                    continue
                *lines, rest = (rest + chunk).split(b"\n")
                if text := b"".join(line[len(prefix) :] + b"\n" for line in lines if line.startswith(prefix)):
                    yield text
            if over:
                return
            time.sleep(_PAUSE)
    finally:
        if file is not None:
            file.close()


def _start_of_prefixed(file: IO[bytes], last: int | None, prefix: bytes) -> int:
    """Offset of the last so many lines that begin with a prefix, read from the start of the file."""
    if last is None:
        return 0
    starts: deque[int] = deque(maxlen=last)
    offset = 0
    for line in file:
        if line.startswith(prefix):
            starts.append(offset)
        offset += len(line)
    return starts[0] if starts else offset


def _as_it_is_now(path: Path, file: IO[bytes]) -> IO[bytes]:
    """The log at the same place in the file that has it now: one that is fetched replaces the one before."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            fetched = path.open("rb")
            fetched.seek(file.tell())
            file.close()
            return fetched
    return file


def _start(file: IO[bytes], last: int | None) -> int:
    """Offset of the last so many lines, found from the end of the file."""
    if last is None:
        return 0
    size = file.seek(0, 2)
    if last == 0:
        return size
    # The line end that is the file's last byte begins no further line.
    position = size - 1
    while position > 0:
        length = min(_CHUNK, position)
        position -= length
        file.seek(position)
        chunk = file.read(length)
        at = len(chunk)
        while (at := chunk.rfind(b"\n", 0, at)) >= 0:
            last -= 1
            if last == 0:
                return position + at + 1
    return 0
