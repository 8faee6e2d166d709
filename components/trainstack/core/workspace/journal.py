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

from trainstack.storage import digest as digests
from trainstack.storage.atomic import disk_errors


class Journal:
    """Pairs of versions by key: of the side that is copied, and of the side that is copied to."""

    def __init__(self, root: Path, address: str, *, swapped: bool = False) -> None:
        """Read a journal.

        Args:
            root: The folder, which keeps it, with the folder's versions first; made when missing.
            address: The store's.
            swapped: Whether the store is the side that is copied.
        """
        path = self._path = root / "cache" / "copies" / f"{digests.of_bytes(address.encode())[:16]}.jsonl"
        self._swapped = swapped
        self._lock = threading.Lock()
        self._pairs: dict[str, tuple[str, str]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_text(encoding="utf-8").splitlines():
                # The last line may be cut short, by a kill.
                with contextlib.suppress(ValueError, TypeError):
                    key, *pair = json.loads(line)
                    self._pairs.pop(key, None)
                    if pair:
                        self._pairs[key] = (pair[0], pair[1])

    def versions(self, key: str) -> tuple[str, str] | None:
        """Return the versions of the source and of the target that are known to be the same."""
        pair = self._pairs.get(key)
        return pair and self._oriented(pair)

    def note(self, key: str, source: str, target: str) -> None:
        """Write down that two versions are the same."""
        pair = self._oriented((source, target))
        with self._lock:
            if self._pairs.get(key) != pair:
                self._pairs[key] = pair
                self._append([key, *pair])

    def forget(self, key: str) -> None:
        """Write down that one side is gone."""
        with self._lock:
            if self._pairs.pop(key, None):
                self._append([key])

    def known_keys(self) -> list[str]:
        """Return the keys whose versions are known."""
        return list(self._pairs)

    def _append(self, line: list[Any]) -> None:
        with disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                # On a line of its own, also after one that was cut short.
                file.write("\n" * bool(file.tell()) + json.dumps(line))

    def _oriented(self, pair: tuple[str, str]) -> tuple[str, str]:
        return (pair[1], pair[0]) if self._swapped else pair
