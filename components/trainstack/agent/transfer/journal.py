"""Keep on disk what a node writes while nothing receives it: `python -m trainstack.agent.transfer.journal FOLDER FILE`.

FILE is the stream that `output_sender` would send, as far as it was written when the node ended: a later reader
has a state that a script can resume from. A stream that has grown far beyond the files it describes is written anew to
a second file, which replaces the first when it is complete. Runs until it is killed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from .output_sender import MAX_UNSETTLED_LOOKS, OutputSender

_LOOK_SECONDS = 1.0
_LEAST_BYTES = 64 << 20
_TIMES = 3
_WHOLE_LOOKS = MAX_UNSETTLED_LOOKS + 2
"""After so many looks everything that was there at the first has been written."""


class Journal:
    """A file with the changes of a folder."""

    def __init__(self, root: Path, path: Path) -> None:
        """Write the changes of `root` to the file `path`, anew or after an earlier journal that was killed."""
        self._root = root
        self._path = path
        self._replacement: Path | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._begin(path.with_suffix(".new") if path.exists() else path)

    def look(self) -> None:
        """Write what has changed.

        Raises:
            OSError: The disk is full, or not available.
        """
        before = self._file.tell()
        self._sender.send()
        self._looks += 1
        size = self._file.tell()
        if size != before:
            os.fsync(self._file.fileno())
        if self._replacement and self._looks >= _WHOLE_LOOKS:
            self._replacement.replace(self._path)
            self._replacement = None
        elif not self._replacement and size > max(_LEAST_BYTES, _TIMES * self._sender.received_bytes):
            self._file.close()
            self._begin(self._path.with_suffix(".new"))

    def _begin(self, path: Path) -> None:
        self._replacement = path if path != self._path else None
        self._looks = 0
        self._file: BinaryIO = path.open("wb")
        self._sender = OutputSender(self._root, self._file)


def main() -> None:
    """Write until killed."""
    journal = Journal(Path(sys.argv[1]), Path(sys.argv[2]))
    while True:
        journal.look()
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    main()
