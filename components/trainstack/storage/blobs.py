"""Content-addressed files: `sha256/ab/abcdef…`, each written once, read-only, and linked or lent where it is needed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from trainstack.errors import DigestMismatchError, NotFoundError
from trainstack.storage import digest as digests
from trainstack.storage import disk_space
from trainstack.storage.atomic import disk_errors
from trainstack.storage.blob_origin import BlobOrigin
from trainstack.storage.clone import clone
from trainstack.storage.quota import Quota

# What keeps a hard link from being made where a copy still works: another file system, one without links, a
# file with too many of them, or the kernel's rule against linking to other users' files.
_UNLINKABLE = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
# A copy of these takes a fraction of a second, beside a run that takes minutes.
_COPIED_BYTES = 64 * 2**20
_COPIED_FILES = 2_000
_ABANDONED_SECONDS = 7 * 24 * 3600
_FETCHES_AT_ONCE = 12


class BlobStore:
    """Blobs under one folder. Every file in it is named by its own SHA-256, so writing twice is harmless.

    Who may write to a hard link may write to the blob (mode 0444 does not stop root). So each blob has a
    modification time that follows from its digest: any write moves it, and the blob is then read before it is
    trusted again.
    """

    def __init__(self, root: Path, quota: Quota | None = None, origin: BlobOrigin | None = None) -> None:
        """Use a folder.

        Args:
            root: The folder.
            quota: How much the folder around it may hold; no limit when left out.
            origin: The store of which the folder is a copy, which may lack some; none where the folder has all.
        """
        self.root = root
        self._quota = quota
        self._clones = True
        self._origin = origin

    def require(self, size: int, label: str) -> None:
        """Check that `size` more bytes fit on the disk and under the quota.

        Args:
            size: How many bytes.
            label: What they are, for the message.

        Raises:
            TrainstackError: They do not fit.
        """
        disk_space.require(self.root, size, label)
        if self._quota is not None:
            self._quota.require(size, label)

    def path(self, digest: str) -> Path:
        """Return the path of the blob with a hex SHA-256, whether it exists or not."""
        return self.root / "sha256" / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Return whether the blob exists and is intact; it is read only when something may have written to it."""
        path = self.path(digest)
        try:
            if path.stat().st_mtime_ns == seal(digest):
                return True
        except FileNotFoundError:
            return False
        if not self.verify(digest):
            return False
        # The workspace was copied without its times: seal the blob again, or read it each time.
        with contextlib.suppress(PermissionError):
            os.utime(path, ns=(seal(digest), seal(digest)))
        return True

    def available(self, digest: str) -> bool:
        """Return whether the blob is intact here, or there where it can be fetched from."""
        return self.has(digest) or (self._origin is not None and self._origin.has(digest))

    def obtain(self, digests: Iterable[str]) -> None:
        """Fetch blobs that are not here, several at once; those that are nowhere stay away.

        Raises:
            DigestMismatchError: One is damaged there.
            TrainstackError: The store refuses or does not answer, or the disk is full.
        """
        if (origin := self._origin) is None:
            return
        missing = [digest for digest in dict.fromkeys(digests) if not self.has(digest)]
        with ThreadPoolExecutor(_FETCHES_AT_ONCE) as pool:
            for _ in pool.map(partial(self._fetch, origin), missing):
                continue

    def partial(self, name: str) -> Path:
        """Return a path for an unfinished file on the same file system, which stays between tries."""
        folder = self.root / "partial"
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def adopt(self, source: Path, digest: str, *, durable: bool = True) -> Path:
        """Move a finished file into the store under the digest that its writer computed.

        The file is made read-only and fsynced before its name appears. A damaged blob is replaced.

        Args:
            source: The file.
            digest: Its hex SHA-256.
            durable: Whether it is fsynced; who leaves that out looks at the size of what a stopped machine left.
        """
        target = self.path(digest)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.has(digest):
                source.unlink()
                return target
            source.chmod(0o444)
            with source.open("rb") as file:
                os.utime(file.fileno(), ns=(seal(digest), seal(digest)))
                if durable:
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
        unfinished = self.partial(f"{secrets.token_hex(8)}.add")
        try:
            with source.open("rb") as origin:
                digest = _copy(origin.fileno(), unfinished)
            if expected in (None, digest):
                self.adopt(unfinished, digest)
                return digest
        finally:
            unfinished.unlink(missing_ok=True)
        raise DigestMismatchError(f"{source} has SHA-256 {digest}, not {expected}: the file changed")

    def put(self, data: bytes) -> str:
        """Keep bytes that are in memory, and return their hex SHA-256."""
        digest = digests.of_bytes(data)
        if not self.has(digest):
            unfinished = self.partial(f"{secrets.token_hex(8)}.put")
            try:
                with disk_errors(unfinished):
                    unfinished.write_bytes(data)
                self.adopt(unfinished, digest)
            finally:
                unfinished.unlink(missing_ok=True)
        return digest

    def link(self, digest: str, target: Path) -> None:
        """Make a hard link to a blob at `target`, or a copy where no link is possible.

        Args:
            digest: The blob's hex SHA-256.
            target: Where; a file that is there is replaced.

        Raises:
            NotFoundError: The store does not have the blob, or its bytes have changed.
        """
        self._require_whole(digest)
        with disk_errors(target):
            _make_room(target)
            self._link_or_copy(digest, target)

    def lend(self, digest: str, target: Path, *, copy: bool, executable: bool = False) -> None:
        """Give a blob to somebody who may write to it, so that the blob stays what it is wherever that can be had.

        It becomes a clone where the file system has them, else a copy, else a hard link.

        Args:
            digest: The blob's hex SHA-256.
            target: Where; a file that is there is replaced.
            copy: Whether a copy may be made; a full disk has a hard link all the same.
            executable: Whether it is a program: never a hard link, because all links to a file have one mode.

        Raises:
            NotFoundError: The store does not have the blob, or its bytes have changed.
        """
        self._require_whole(digest)
        mode = 0o555 if executable else 0o444
        with disk_errors(target):
            _make_room(target)
            self._clones = self._clones and clone(self.path(digest), target)
            if self._clones:
                target.chmod(mode)
                os.utime(target, ns=(seal(digest), seal(digest)))
            elif copy or executable:
                try:
                    _copy_to(self.path(digest), target, mode, seal(digest))
                except OSError as exc:
                    if executable or exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    self._link_or_copy(digest, target)
            else:
                self._link_or_copy(digest, target)

    def small(self, names: Collection[str]) -> bool:
        """Return whether blobs are few and small enough to be copied for each run."""
        if len(names) > _COPIED_FILES:
            return False
        return disk_space.size_of(self.path(name) for name in names) <= _COPIED_BYTES

    def _require_whole(self, digest: str) -> None:
        self.obtain([digest])
        if not self.has(digest):
            state = "damaged" if self.path(digest).exists() else "gone"
            raise NotFoundError(f"blob {digest} is {state} in {self.root}: register what it belongs to again")

    def _link_or_copy(self, digest: str, target: Path) -> None:
        try:
            os.link(self.path(digest), target)
        except OSError as exc:
            if exc.errno not in _UNLINKABLE:
                raise
            _copy_to(self.path(digest), target, 0o444, seal(digest))

    def _fetch(self, origin: BlobOrigin, digest: str) -> None:
        unfinished = self.partial(f"{secrets.token_hex(8)}.fetch")
        try:
            origin.fetch(digest, unfinished)
            self.adopt(unfinished, digest)
        except FileNotFoundError:
            return
        finally:
            unfinished.unlink(missing_ok=True)

    def verify(self, digest: str) -> bool:
        """Read the blob, and return whether its bytes have the digest of its name."""
        path = self.path(digest)
        return path.is_file() and digests.of_file(path) == digest

    def sweep(self) -> None:
        """Remove unfinished files without a write for a week: their writer was killed."""
        for path in self.abandoned():
            with contextlib.suppress(OSError):
                path.unlink()

    def abandoned(self) -> list[Path]:
        """Return the files that `sweep` removes."""
        oldest = time.time() - _ABANDONED_SECONDS
        paths: list[Path] = []
        for path in self.root.glob("partial/*"):
            with contextlib.suppress(OSError):
                if _last_write(path.stat()) < oldest:
                    paths.append(path)
        return paths

    def distrust(self, digest: str) -> None:
        """Break a blob's seal: it is read before it is trusted again, and replaced when it is damaged."""
        with disk_errors(self.path(digest)):
            os.utime(self.path(digest))

    def __iter__(self) -> Iterator[str]:
        for path in (self.root / "sha256").glob("??/*"):
            yield path.name


def seal(digest: str) -> int:
    """The modification time of an untouched blob and of what is lent of it, in nanoseconds: from 2000 to 2018.

    Whole, even seconds, because some file systems keep no finer ones; after 1980, because zip files know no
    earlier date; different for different bytes, because Python trusts a compiled module by its source's size
    and time.
    """
    return (946_684_800 + 2 * int(digest[:7], 16)) * 1_000_000_000


def _last_write(status: os.stat_result) -> float:
    """Return when a file in `partial` was last written: one that `adopt` has sealed and not moved looks years old."""
    return status.st_mtime if status.st_mtime_ns > seal("f" * 64) else status.st_ctime


def _make_room(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)


def _copy_to(blob: Path, target: Path, mode: int, time_ns: int) -> None:
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        shutil.copyfile(blob, unfinished)
        unfinished.chmod(mode)
        os.utime(unfinished, ns=(time_ns, time_ns))
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _copy(origin: int, target: Path) -> str:
    """Copy an open file, and return the digest of the same bytes."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 20))
    with disk_errors(target), target.open("xb", buffering=0) as file:
        while count := os.readv(origin, [buffer]):
            digest.update(buffer[:count])
            written = 0
            while written < count:
                written += file.write(buffer[written:count])
    return digest.hexdigest()
