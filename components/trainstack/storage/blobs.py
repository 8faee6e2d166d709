"""Content-addressed files: `sha256/ab/abcdef…`, each written once, read-only, handed out by hard link."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from trainstack.errors import DigestMismatchError, NotFoundError
from trainstack.storage import digest as digests
from trainstack.storage import disk_space
from trainstack.storage.atomic import disk_errors

# What keeps a hard link from being made where a copy still works: another file system, one without links, a
# file with too many of them, or the kernel's rule against linking to other users' files.
_UNLINKABLE = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
_ABANDONED_SECONDS = 7 * 24 * 3600


class BlobStore:
    """Blobs under one folder. Every file in it is named by its own SHA-256, so writing twice is harmless.

    A hard link lets whoever may write the file write to the blob (mode 0444 does not stop root). So each blob
    carries a modification time that follows from its digest: any write moves it, and the blob is then read
    before it is trusted again.
    """

    def __init__(self, root: Path, quota: disk_space.Quota | None = None) -> None:
        self.root = root
        self._quota = quota

    def require(self, size: int, what: str) -> None:
        """Make sure that so many bytes more fit on the disk and under the quota.

        Raises:
            TrainstackError: They do not; says what is too big for what.
        """
        disk_space.require(self.root, size, what)
        if self._quota is not None:
            self._quota.require(size, what)

    def path(self, digest: str) -> Path:
        """Where the blob of a hex SHA-256 is, or would be."""
        return self.root / "sha256" / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether the blob is there and unharmed; it is read only when somebody may have written to it."""
        path = self.path(digest)
        try:
            if path.stat().st_mtime_ns == _seal(digest):
                return True
        except FileNotFoundError:
            return False
        if not self.verify(digest):
            return False
        # The workspace was copied without its times: seal the blob again, or read it each time.
        with contextlib.suppress(PermissionError):
            os.utime(path, ns=(_seal(digest), _seal(digest)))
        return True

    def partial(self, name: str) -> Path:
        """A place for a file that is still being written, on the same file system; kept between tries."""
        folder = self.root / "partial"
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def adopt(self, source: Path, digest: str) -> Path:
        """Move a finished file into the store under the digest that its writer computed.

        The file is made read-only and fsynced before its name appears. A damaged blob is replaced.
        """
        target = self.path(digest)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.has(digest):
                source.unlink()
                return target
            source.chmod(0o444)
            with source.open("rb") as file:
                os.utime(file.fileno(), ns=(_seal(digest), _seal(digest)))
                os.fsync(file.fileno())
            source.replace(target)
        return target

    def add(self, source: Path, *, expected: str | None = None) -> str:
        """Copy a file into the store.

        Args:
            source: The file; it stays where it is.
            expected: Its hex SHA-256, where one is promised.

        Returns:
            The hex SHA-256 of its bytes.

        Raises:
            DigestMismatchError: The bytes are not the promised ones.
            OSError: The source cannot be read.
        """
        aside = self.partial(f"{secrets.token_hex(8)}.add")
        try:
            with source.open("rb") as origin:
                digest = _copy(origin.fileno(), aside)
            if expected in (None, digest):
                self.adopt(aside, digest)
                return digest
        finally:
            aside.unlink(missing_ok=True)
        raise DigestMismatchError(f"{source} has SHA-256 {digest}, not {expected}: the file changed")

    def link(self, digest: str, target: Path) -> None:
        """Hand a blob out as a hard link at `target`; a copy where a link cannot be.

        Raises:
            NotFoundError: The store does not hold the blob, or somebody changed its bytes.
        """
        if not self.has(digest):
            state = "damaged" if self.path(digest).exists() else "gone"
            raise NotFoundError(f"blob {digest} is {state} in {self.root}: register what it belongs to again")
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(self.path(digest), target)
            except OSError as exc:
                if exc.errno not in _UNLINKABLE:
                    raise
                aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
                try:
                    shutil.copyfile(self.path(digest), aside)
                    aside.chmod(0o444)
                    aside.replace(target)
                except BaseException:
                    aside.unlink(missing_ok=True)
                    raise

    def verify(self, digest: str) -> bool:
        """Read the blob and tell whether its bytes are those of its name."""
        path = self.path(digest)
        return path.is_file() and digests.of_file(path) == digest

    def sweep(self) -> None:
        """Remove unfinished files that nobody has written to for a week: their writer was killed for good."""
        for path in self.abandoned():
            with contextlib.suppress(OSError):
                path.unlink()

    def abandoned(self) -> list[Path]:
        """The files that `remove_all` removes."""
        oldest = time.time() - _ABANDONED_SECONDS
        found: list[Path] = []
        for path in self.root.glob("partial/*"):
            with contextlib.suppress(OSError):
                if _written(path.stat()) < oldest:
                    found.append(path)
        return found

    def distrust(self, digest: str) -> None:
        """Break a blob's seal: it is read before it is trusted again, and replaced when it is damaged."""
        with disk_errors(self.path(digest)):
            os.utime(self.path(digest))

    def __iter__(self) -> Iterator[str]:
        for path in (self.root / "sha256").glob("??/*"):
            yield path.name


def _seal(digest: str) -> int:
    """The modification time of an untouched blob, in nanoseconds: a date between 2000 and 2018.

    Whole, even seconds, because some file systems keep no finer ones; after 1980, because zip files know no
    earlier date; different for different bytes, because Python trusts a compiled module by its source's size
    and time.
    """
    return (946_684_800 + 2 * int(digest[:7], 16)) * 1_000_000_000


def _written(status: os.stat_result) -> float:
    """When a file in `partial` was last written to: one that `adopt` has sealed and not yet moved looks years old."""
    return status.st_mtime if status.st_mtime_ns > _seal("f" * 64) else status.st_ctime


def _copy(origin: int, target: Path) -> str:
    """Copy an open file and digest the same bytes on their way."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 20))
    with disk_errors(target), target.open("xb", buffering=0) as file:
        while count := os.readv(origin, [buffer]):
            digest.update(buffer[:count])
            written = 0
            while written < count:
                written += file.write(buffer[written:count])
    return digest.hexdigest()
