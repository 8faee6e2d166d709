"""The store that a folder of blobs is a copy of: what it has, and its bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from trainstack.storage.store import Store, blob_key

_FOLDER = "blobs/sha256"
_LISTED_ALONE = 8
"""Of so many folders each is listed by itself; who asks for more has all blobs listed, a thousand a request."""


class BlobOrigin:
    """Blobs in a store. It is asked by listing, folder by folder and never blob by blob, and remembers."""

    def __init__(self, opened: Callable[[], Store]) -> None:
        """Use a store.

        Args:
            opened: Returns it; called when it is needed first.
        """
        self._opened = opened
        self._listed: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def has(self, digest: str) -> bool:
        """Return whether the store had a blob when its folder was listed last."""
        with self._lock:
            folder = digest[:2]
            if folder not in self._listed:
                alone = len(self._listed) < _LISTED_ALONE
                names = {
                    item.key.rpartition("/")[2]
                    for item in self._opened().list(f"{_FOLDER}/{folder}" if alone else _FOLDER)
                }
                for each in [folder] if alone else (f"{number:02x}" for number in range(256)):
                    self._listed[each] = set()
                for name in names:
                    self._listed[name[:2]].add(name)
            return digest in self._listed[folder]

    def forget(self) -> None:
        """Ask anew from now on."""
        with self._lock:
            self._listed.clear()

    def fetch(self, digest: str, path: Path) -> None:
        """Download a blob to a file.

        Raises:
            FileNotFoundError: The store does not have it.
            DigestMismatchError: It is damaged there.
        """
        self._opened().download(blob_key(digest), path)
