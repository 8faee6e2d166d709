"""A workspace's store in a folder: a key is a path in it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Generator, Iterator
from pathlib import Path

from trainstack.errors import DigestMismatchError
from trainstack.storage import digest as digests
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors, write_bytes
from trainstack.storage.blobs import BlobStore
from trainstack.storage.store import Entry, Item, Store, VersionConflictError, blob_digest, checked_key

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


class FolderStore(Store):
    """A folder. A record's version is the identity of its file, which each write renews."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    def path(self, key: str) -> Path:
        """Return the file of a key, whether it exists or not."""
        return self.root / checked_key(key)

    def get(self, key: str) -> Entry:
        """Read a record."""
        with self.path(key).open("rb") as file:
            return Entry(file.read(), _version(os.fstat(file.fileno())))

    def create(self, key: str, data: bytes) -> str:
        """Write a record where there is none."""
        path = self.path(key)
        with self._aside(path, data) as unfinished:
            version = _version(unfinished.stat())
            with disk_errors(path):
                os.link(unfinished, path)
            return version

    def replace(self, key: str, data: bytes, version: str) -> str:
        """Write over a version of a record."""
        path = self.path(key)
        with locks.exclusive(self.root / "locks" / "replace"):
            try:
                status = path.stat()
            except FileNotFoundError as exc:
                raise VersionConflictError(key) from exc
            if _version(status) != version:
                raise VersionConflictError(key)
            with self._aside(path, data) as unfinished, disk_errors(path):
                # Later than the one before, whatever the clock: an inode may be used again at once.
                modified = max(unfinished.stat().st_mtime_ns, status.st_mtime_ns + 1)
                os.utime(unfinished, ns=(modified, modified))
                renewed = _version(unfinished.stat())
                unfinished.replace(path)
                return renewed

    def delete(self, key: str) -> None:
        """Remove a file, if it is there."""
        path = self.path(key)
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[Item]:
        """Yield all files below a folder, but for those that are being written; links, where they lead to a file."""
        root = self.path(prefix) if prefix else self.root
        paths = (
            os.path.join(folder, name)  # noqa: PTH118 (a Path each for a hundred thousand takes too long)
            for folder, _, names in os.walk(root)
            for name in names
            if not _UNFINISHED.fullmatch(name)
        )
        start = len(str(self.root)) + 1
        for path in sorted(paths, key=os.fsencode):
            try:
                status = os.stat(path)  # noqa: PTH116 (as above)
            except OSError as exc:
                if exc.errno not in (errno.ENOENT, errno.ELOOP):
                    raise
                continue
            # A script may leave pipes, and links to devices, whose reading has no end.
            if stat.S_ISREG(status.st_mode):
                yield Item(path[start:], status.st_size, _version(status), status.st_mtime)

    def upload(self, path: Path, key: str) -> str:
        """Copy a file into the folder; content by digest becomes a blob."""
        if digest := blob_digest(key):
            BlobStore(self.root / "blobs").add(path, expected=digest)
            return self.version(key)
        _copy(path, self.path(key), None)
        return self.version(key)

    def download(self, key: str, path: Path, digest: str | None = None) -> str:
        """Copy a file out of the folder."""
        version = self.version(key)
        _copy(self.path(key), path, digest or blob_digest(key))
        return version

    def version(self, key: str) -> str:
        """Return the version of a record or content.

        Raises:
            FileNotFoundError: There is none.
        """
        return _version(self.path(key).stat())

    @contextlib.contextmanager
    def _aside(self, path: Path, data: bytes) -> Generator[Path]:
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            write_bytes(unfinished, data)
            yield unfinished
        finally:
            unfinished.unlink(missing_ok=True)


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


def _copy(source: Path, target: Path, digest: str | None) -> None:
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    with source.open("rb") as origin, disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("xb") as file:
                shutil.copyfileobj(origin, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            if digest is not None and (actual := digests.of_file(unfinished)) != digest:
                raise DigestMismatchError(f"{source} has SHA-256 {actual}, not {digest}: it is damaged")
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
