"""Which versions of a folder and of a store are the same, noted as they are copied.

It is a cache. With it a second copy reads nothing that is as it was, and tells a record that one side has changed from
one that both have. Without it records are compared by their bytes.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

from trainstack.storage.atomic import disk_errors


class Journal:
    """Pairs of versions by key: of the side that is copied, and of the side that is copied to."""

    def __init__(self, path: Path, *, swapped: bool) -> None:
        """Read a journal.

        Args:
            path: The file, which has the folder's version first; made when missing.
            swapped: Whether the store is the side that is copied.
        """
        self._path = path
        self._swapped = swapped
        self._lock = threading.Lock()
        self._pairs: dict[str, tuple[str, str]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_text(encoding="utf-8").splitlines():
                # The last line may be cut short, by a kill.
                with contextlib.suppress(ValueError, TypeError):
                    key, first, second = json.loads(line)
                    self._pairs[key] = (first, second)

    def versions(self, key: str) -> tuple[str, str] | None:
        """Return the versions of the source and of the target that are known to be the same."""
        pair = self._pairs.get(key)
        return pair and self._oriented(pair)

    def note(self, key: str, source: str, target: str) -> None:
        """Write down that two versions are the same."""
        pair = self._oriented((source, target))
        with self._lock, disk_errors(self._path):
            if self._pairs.get(key) == pair:
                return
            self._pairs[key] = pair
            self._path.parent.mkdir(parents=True, exist_ok=True)
            line: Any = [key, *pair]
            with self._path.open("a", encoding="utf-8") as file:
                # On a line of its own, also after one that was cut short.
                file.write("\n" * bool(file.tell()) + json.dumps(line))

    def _oriented(self, pair: tuple[str, str]) -> tuple[str, str]:
        return (pair[1], pair[0]) if self._swapped else pair
