"""A download that is not finished: its bytes, and the validators that say which version of the file they are of.

The bytes lie in `blobs/partial/KEY.part`, the validators beside them in `KEY.json`, KEY being the address's digest.
The writer holds a lock on the bytes, which the kernel releases when the process dies; a second download of the same
address meanwhile gets a file of its own, which it removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors, read_json, write_json
from trainstack.storage.blobs import BlobStore


class PartialFile:
    """The bytes of one address so far. Use it in a `with` statement: it is kept unless adopted or discarded.

    Attributes:
        path: Where they are.
        size: Bytes so far.
        etag: The ETag that they came with.
        last_modified: The Last-Modified that they came with.
    """

    def __init__(self, blobs: BlobStore, url: str) -> None:
        self._blobs = blobs
        key = digests.of_bytes(url.encode())[:32]
        self.path = blobs.partial(f"{key}.part")
        file = _open_locked(self.path)
        self._ours = file is None
        while file is None:
            self.path = blobs.partial(f"{key}-{secrets.token_hex(4)}.part")
            file = _open_locked(self.path)
        self._file = file
        self._note = self.path.with_suffix(".json")
        self._digest = hashlib.sha256()
        self.size = self._file.seek(0, os.SEEK_END)
        self.etag: str | None = None
        self.last_modified: str | None = None
        with contextlib.suppress(FileNotFoundError, TrainstackError):
            note = read_json(self._note)
            self.etag, self.last_modified = note["etag"], note["last_modified"]

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._ours:
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    @property
    def resume_from(self) -> int:
        """The first byte to request; 0 when no byte can be kept.

        The last byte is asked for again, so that of a file that is already whole there is still a range to send.
        """
        return self.size - 1 if self.size > 1 and self.validator else 0

    @property
    def validator(self) -> str | None:
        """What If-Range may carry: a strong ETag, else Last-Modified."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    @property
    def sha256(self) -> str:
        """The hex SHA-256 of the bytes so far."""
        return self._digest.hexdigest()

    def restart(self, etag: str | None, last_modified: str | None) -> None:
        """Begin at the first byte, of the version that the validators name."""
        # The bytes go before the note changes: killed in between, they never pass for another version's.
        self._keep(0)
        self.etag, self.last_modified = etag, last_modified
        write_json(self._note, {"etag": etag, "last_modified": last_modified})

    def resume(self) -> None:
        """Go on at `resume_from`, the bytes before it digested."""
        self._keep(self.resume_from)

    def expect(self, total: int | None, purpose: str) -> None:
        """Make sure that what is still to come of so many bytes in all fits on the disk.

        Raises:
            TrainstackError: It does not.
        """
        if total is not None:
            self._blobs.require(total - self.size, purpose)

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        remaining = memoryview(chunk)
        with disk_errors(self.path):
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
        self._digest.update(chunk)
        self.size += len(chunk)

    def adopt(self) -> None:
        """Move the whole file into the blob store. Nothing may be written any more."""
        self._file.close()
        self._blobs.adopt(self.path, self.sha256)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget the bytes."""
        self._keep(0)
        self.etag = self.last_modified = None
        self._note.unlink(missing_ok=True)

    def _keep(self, size: int) -> None:
        self._digest = hashlib.sha256()
        self._file.seek(0)
        remaining = size
        while remaining and (chunk := self._file.read(min(remaining, 1 << 20))):
            self._digest.update(chunk)
            remaining -= len(chunk)
        with disk_errors(self.path):
            self._file.truncate(size)
        self._file.seek(size)
        self.size = size


def _open_locked(path: Path) -> BinaryIO | None:
    """Open a file for reading and writing, made when missing, and lock it; None when another process holds the lock."""
    while True:
        with disk_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        # Unbuffered, so that a kill loses nothing and a full disk shows at the write that fills it.
        file = os.fdopen(descriptor, "r+b", buffering=0)
        if not locks.try_lock(descriptor):
            file.close()
            return None
        # Its last holder may have moved it into the store between our opening and our locking it.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return file
        file.close()
