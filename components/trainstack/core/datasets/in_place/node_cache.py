"""A machine's cache of objects: each is fetched once, shared by all runs, and bounded.

Files are named by their SHA-256, taken when they come, so that equal bytes at two addresses are one file. What a run
uses has a hard link in the run's directory, and is never removed from here.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from trainstack.core.datasets.in_place.manifest import ObjectFile
from trainstack.storage import digest as digests
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors
from trainstack.storage.blobs import BlobStore
from trainstack.storage.cache import cache_folder


class NodeCache:
    """The cache of this machine, for any number of threads and processes; it may be deleted while no run starts."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder; by default the machine's own."""
        self.folder = folder or cache_folder() / "objects"
        self.blobs = BlobStore(self.folder)

    def digests_of(self, objects: Iterable[ObjectFile]) -> dict[str, str]:
        """Return the SHA-256 of the objects that were ever read here, by their identities."""
        digests_by_identity: dict[str, str] = {}
        for identity in {entry.identity for entry in objects}:
            # Empty after a machine that stopped.
            with contextlib.suppress(OSError):
                if digest := self._mark(identity).read_text(encoding="ascii"):
                    digests_by_identity[identity] = digest
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
        if known is not None and self._has(entry, known):
            return known, False
        name = digests.of_bytes(entry.identity.encode())
        # Whoever else wants the same object waits here, and finds it.
        with locks.exclusive(self.folder / "locks" / name[:3]):
            known = self.digests_of([entry]).get(entry.identity)
            if known is not None and self._has(entry, known):
                return known, False
            unfinished = self.blobs.partial(f"{name}.object")
            try:
                fetch(unfinished)
                digest = digests.of_file(unfinished)
                # One fsync an object would take as long as fetching it; `_has` finds what a stopped machine left.
                self.blobs.adopt(unfinished, digest, durable=False)
            finally:
                unfinished.unlink(missing_ok=True)
            self.remember({entry.identity: digest})
        return digest, True

    def remember(self, digests_by_identity: dict[str, str]) -> None:
        """Keep what the SHA-256 of objects is, and that they were used now."""
        for identity, digest in digests_by_identity.items():
            mark = self._mark(identity)
            try:
                os.utime(mark)
                if mark.read_text(encoding="ascii") == digest:
                    continue
            except OSError:
                mark.parent.mkdir(parents=True, exist_ok=True)
            # Not flushed to the disk: what is lost is fetched again.
            aside = mark.with_name(f".{mark.name}.{secrets.token_hex(4)}.tmp")
            with disk_errors(mark):
                aside.write_text(digest, encoding="ascii")
                aside.replace(mark)

    def make_room(self, size: int, limit: int) -> None:
        """Remove what no run uses, the longest unused first, until `size` more bytes are within the limit.

        Args:
            size: Bytes that are to come.
            limit: Bytes that the cache may hold.
        """
        self.blobs.sweep()
        used: dict[str, float] = {}
        for mark in self.folder.glob("index/??/*"):
            with contextlib.suppress(OSError):
                digest = mark.read_text(encoding="ascii")
                used[digest] = max(used.get(digest, 0.0), mark.stat().st_mtime)
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

    def _has(self, entry: ObjectFile, digest: str) -> bool:
        path = self.blobs.path(digest)
        try:
            if path.stat().st_size != entry.size:
                path.unlink()
                return False
        except OSError:
            return False
        return self.blobs.has(digest)

    def _mark(self, identity: str) -> Path:
        """The file with the SHA-256 of an object, here or not any more; its time is that of the last use."""
        name = digests.of_bytes(identity.encode())
        return self.folder / "index" / name[:2] / name
