"""One `logs/run.txt` of the lines that several nodes wrote apart, each into its `logs/node-N.txt`.

A journal says up to where each of them is in the common log. Killed at any moment and begun again, no line is in it
twice and none is missing.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

from trainstack.storage.atomic import disk_errors, read_json, write_json

_APART = re.compile(r"logs/node-(\d+)\.txt")


class MergedLog:
    """The common log of a run; any thread may tell it that a node's own has grown."""

    def __init__(self, root: Path, nodes: int) -> None:
        """Join the logs below the run directory `root`."""
        self._logs = root / "logs"
        self._journal = root / "joined.json"
        self._nodes = nodes
        self._lock = threading.Lock()
        self._offsets = dict.fromkeys(map(str, range(nodes)), 0)

    def begin(self) -> None:
        """Take what is there as joined: a new attempt begins."""
        with self._lock, disk_errors(self._logs):
            self._logs.mkdir(parents=True, exist_ok=True)
            self._offsets = {node: _size(self._apart(node)) for node in self._offsets}
            self._note()

    def resume(self) -> None:
        """Go on where somebody was killed."""
        with self._lock, disk_errors(self._logs):
            try:
                noted: dict[str, Any] = read_json(self._journal)
                self._offsets |= noted["offsets"]
                if _size(self._common) > noted["size"]:
                    # What was appended after the last note is appended again, from the nodes' own logs.
                    os.truncate(self._common, noted["size"])
            except FileNotFoundError:
                pass
            for node in self._offsets:
                self._append(node)

    def grown(self, name: str) -> None:
        """Take over whole lines of a file, if it is a node's log.

        Args:
            name: Its path in the run's directory.
        """
        if (match := _APART.fullmatch(name)) and match[1] in self._offsets:
            with self._lock, disk_errors(self._logs):
                self._append(match[1])

    def end(self) -> None:
        """Take over what has no end of line yet as well, and remove the nodes' own logs."""
        with self._lock, disk_errors(self._logs):
            for node in self._offsets:
                self._append(node, whole=False)
                # The journal keeps how much of it was joined, should a node send it once more.
                self._apart(node).unlink(missing_ok=True)

    @property
    def _common(self) -> Path:
        return self._logs / "run.txt"

    def _apart(self, node: str) -> Path:
        return self._logs / f"node-{node}.txt"

    def _append(self, node: str, *, whole: bool = True) -> None:
        try:
            with self._apart(node).open("rb") as file:
                file.seek(self._offsets[node])
                text = file.read()
        except FileNotFoundError:
            return
        if whole:
            text = text[: text.rfind(b"\n") + 1]
        if not text:
            return
        ending = b"" if text.endswith(b"\n") else b"\n"
        with self._common.open("ab") as common:
            common.write(text + ending)
        self._offsets[node] += len(text)
        self._note()

    def _note(self) -> None:
        write_json(self._journal, {"size": _size(self._common), "offsets": self._offsets})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
