"""A machine's cache of objects: each is fetched once, shared by all runs, and bounded.

Files are named by their SHA-256, taken when they come, so that equal bytes at two addresses are one file. What a run
uses has a hard link in the run's directory, and is never removed from here.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from trainstack.core.datasets.in_place.manifest import ObjectFile
from trainstack.storage import digest as digests
from trainstack.storage import locks
from trainstack.storage.blobs import BlobStore
from trainstack.storage.cache import cache_folder

_BUSY_SECONDS = 60.0
_BATCH = 500


class NodeCache:
    """The cache of this machine, for any number of threads and processes; it may be deleted while no run starts."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder; by default the machine's own."""
        self.folder = folder or cache_folder() / "objects"
        self.blobs = BlobStore(self.folder)

    def digests_of(self, objects: Iterable[ObjectFile]) -> dict[str, str]:
        """Return the SHA-256 of the objects that were ever read here, by their identities."""
        identities = list({entry.identity for entry in objects})
        digests_by_identity: dict[str, str] = {}
        with self._index() as index:
            for start in range(0, len(identities), _BATCH):
                batch = identities[start : start + _BATCH]
                marks = ",".join("?" * len(batch))
                rows = index.execute(f"SELECT identity, sha256 FROM objects WHERE identity IN ({marks})", batch)  # noqa: S608
                digests_by_identity |= dict(rows.fetchall())
        return digests_by_identity

    def obtain(self, entry: ObjectFile, known: str | None, fetch: Callable[[Path], None]) -> tuple[str, bool]:
        """Have an object in the cache.

        Args:
            entry: The object.
            known: Its SHA-256, where it was read before.
            fetch: Downloads it to a file.

        Returns:
            Its SHA-256, and whether it was fetched now.
        """
        if known is not None and self.blobs.has(known):
            return known, False
        name = digests.of_bytes(entry.identity.encode())
        # Whoever else wants the same object waits here, and finds it.
        with locks.exclusive(self.folder / "locks" / name[:3]):
            known = self.digests_of([entry]).get(entry.identity)
            if known is not None and self.blobs.has(known):
                return known, False
            unfinished = self.blobs.partial(f"{name}.object")
            try:
                fetch(unfinished)
                digest = digests.of_file(unfinished)
                self.blobs.adopt(unfinished, digest)
            finally:
                unfinished.unlink(missing_ok=True)
            self.remember({entry.identity: digest})
        return digest, True

    def remember(self, digests_by_identity: dict[str, str]) -> None:
        """Keep what the SHA-256 of objects is, and that they were used now."""
        now = time.time()
        rows = [(identity, digest, now) for identity, digest in digests_by_identity.items()]
        with self._index() as index:
            index.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", rows)

    def make_room(self, size: int, limit: int) -> None:
        """Remove what no run uses, the longest unused first, until `size` more bytes are within the limit.

        Args:
            size: Bytes that are to come.
            limit: Bytes that the cache may hold.
        """
        with self._index() as index:
            used = dict(index.execute("SELECT sha256, MAX(used) FROM objects GROUP BY sha256").fetchall())
        total, candidates = size, list[tuple[float, int, str]]()
        for digest in self.blobs:
            with contextlib.suppress(OSError):
                status = self.blobs.path(digest).stat()
                total += status.st_size
                if status.st_nlink == 1:
                    candidates.append((used.get(digest, 0.0), status.st_size, digest))
        for _, bytes_freed, digest in sorted(candidates):
            if total <= limit:
                return
            with contextlib.suppress(OSError):
                path = self.blobs.path(digest)
                # A run that links it at this moment has its file all the same, or fetches it again.
                if path.stat().st_nlink == 1:
                    path.unlink()
                    total -= bytes_freed

    def size(self) -> int:
        """Return how many bytes it holds."""
        total = 0
        for digest in self.blobs:
            with contextlib.suppress(OSError):
                total += os.stat(self.blobs.path(digest)).st_size  # noqa: PTH116
        return total

    @contextlib.contextmanager
    def _index(self) -> Generator[sqlite3.Connection]:
        """The digests of all objects that were read here, also of those that are not here any more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.folder / "index.sqlite", timeout=_BUSY_SECONDS)
        try:
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS objects (identity TEXT PRIMARY KEY, sha256 TEXT, used REAL)"
                )
                yield connection
        finally:
            connection.close()
