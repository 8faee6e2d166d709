"""The interface of a workspace's store, which a folder and an object store implement.

A key is a relative path of the workspace's layout (`docs/workspace.md`): `runs/ID/run.json`, `datasets/NAME/3.json`,
`blobs/sha256/ab/abcdef…`. Records are small and are written whole: `create` has one winner among any number of writers
on any number of machines, `replace` succeeds only over the version that its caller has read. Content is a file of any
size; a key that ends with the digest of its bytes is verified whenever it is written or read.

A writer that must tell its own record from an equal one puts something of its own into it, such as a random token.
Object stores may give equal bytes the same version; and a request whose answer was lost is repeated, and counts as done
when the store has the same bytes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainstack.errors import InvalidInputError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_KEY = 900  # bytes; S3 has 1024 for the folder of the address and the key
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")


class VersionConflictError(Exception):
    """The record is no longer the version that the caller has read."""


@dataclass(frozen=True)
class Entry:
    """A record.

    Attributes:
        data: Its bytes.
        version: Names these bytes under this key, for `replace`; its form is the store's own.
    """

    data: bytes
    version: str


@dataclass(frozen=True)
class Item:
    """What a listing says of a key.

    Attributes:
        key: The key.
        size: Bytes.
        version: As of `Entry`.
        modified: When it was written last, in seconds since the epoch, by the store's own clock.
    """

    key: str
    size: int
    version: str
    modified: float = 0.0


class Store(ABC):
    """A workspace's store. Making one contacts no server.

    Every call raises `TrainstackError` where the store refuses, and `UnreachableError` where it does not answer.

    Attributes:
        address: How people name it.
    """

    address: str

    @abstractmethod
    def get(self, key: str) -> Entry:
        """Read a record.

        Raises:
            FileNotFoundError: There is none.
        """

    @abstractmethod
    def create(self, key: str, data: bytes) -> str:
        """Write a record where there is none, and return its version.

        Raises:
            FileExistsError: There is one.
        """

    @abstractmethod
    def replace(self, key: str, data: bytes, version: str) -> str:
        """Write over a version of a record, and return the new version.

        Raises:
            VersionConflictError: The record has another version, or is gone.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a record or content, if it is there."""

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove records or content, many at once where the store can."""
        for key in keys:
            self.delete(key)

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Item]:
        """Yield all keys below a folder in the order of their bytes, as the store's pages come.

        Args:
            prefix: The folder, such as `runs` or `runs/ID`; everything when left out.
        """

    @abstractmethod
    def upload(self, path: Path, key: str) -> str:
        """Store a file as content, over what is there.

        Returns:
            The content's version.

        Raises:
            FileNotFoundError: The file is gone.
            DigestMismatchError: The key names another digest than that of the file.
        """

    @abstractmethod
    def download(self, key: str, path: Path, digest: str | None = None) -> str:
        """Write content to a file, which appears when it is whole.

        Args:
            key: The content.
            path: The file; its folder is made when missing, a file that is there is replaced.
            digest: Hex SHA-256 that the bytes must have; that of the key where the key names one.

        Returns:
            The content's version.

        Raises:
            FileNotFoundError: There is no such content.
            DigestMismatchError: The store has other bytes; nothing is left at `path`.
        """


def blob_digest(key: str) -> str | None:
    """Return the hex SHA-256 that a key names, if it names one."""
    match = _BLOB.fullmatch(key)
    return match[2] if match else None


def blob_key(digest: str) -> str:
    """Return the key of content by its hex SHA-256."""
    return f"blobs/sha256/{digest[:2]}/{digest}"


def checked_key(key: str) -> str:
    """Return a key that can be one.

    Raises:
        InvalidInputError: It leads out of the workspace, is too long, or has an empty part or a control character.
    """
    if any(part in ("", ".", "..") for part in key.split("/")) or _CONTROL.search(key):
        raise InvalidInputError(f"{key!r} cannot be a key of a workspace: keys are relative paths of printable names")
    if len(key.encode()) > _LONGEST_KEY:
        raise InvalidInputError(f"{key!r} cannot be a key of a workspace: it has more than {_LONGEST_KEY} bytes")
    return key
