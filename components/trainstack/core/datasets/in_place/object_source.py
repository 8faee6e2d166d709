"""Addresses of data in object stores: an object, a folder, or a glob; nothing here contacts a server."""

from __future__ import annotations

import fnmatch
import functools
import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainstack.errors import InvalidInputError

SCHEMES = ("s3", "gs", "az", "abfss")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_ABFSS = re.compile(r"[a-z0-9-]{3,63}@[a-z0-9]{3,24}\.dfs\.(?:core\.windows\.net|fabric\.microsoft\.com)")


@dataclass(frozen=True)
class ObjectSource:
    """What an address stands for.

    Attributes:
        address: As it was given.
        bucket: Scheme and bucket, such as `s3://team`.
        key: The object or folder; for a glob the last folder that it writes out. Empty for the whole bucket.
        pattern: Of a glob, what is below that folder.
        is_folder: Whether the address says that it is a folder.
    """

    address: str
    bucket: str
    key: str
    pattern: str = ""
    is_folder: bool = False

    def name_of(self, key: str) -> str:
        """Return the name in the dataset of an object below the folder."""
        return key[len(self.key) + 1 :] if self.key else key

    def matches(self, name: str) -> bool:
        """Return whether the glob takes a name; `*` stays in one folder, `**` goes below it."""
        return not self.pattern or matches_glob(self.pattern, name)


def is_address(path: str) -> bool:
    """Return whether a dataset's path is an address of an object store, and not of this machine's disk.

    Raises:
        InvalidInputError: It is an address that cannot be read.
    """
    match = _SCHEME.match(path)
    if match is None:
        return False
    if match[1] not in SCHEMES:
        advice = "give it in urls" if match[1].lower() in ("http", "https", "file") else "copy the data there"
        raise InvalidInputError(
            f"{path!r} is no path: data is read in place from s3://, gs://, az:// and abfss://: {advice}", field="paths"
        )
    return True


def bucket_of(address: str) -> str:
    """Return scheme and bucket of an address.

    Raises:
        InvalidInputError: The form is wrong.
    """
    scheme, _, rest = address.partition("://")
    bucket = rest.partition("/")[0]
    if not (_ABFSS if scheme == "abfss" else _BUCKET).fullmatch(bucket):
        form = "CONTAINER@ACCOUNT.dfs.core.windows.net" if scheme == "abfss" else "BUCKET"
        raise InvalidInputError(f"{address!r} names no bucket: write {scheme}://{form}/FOLDER", field="paths")
    return f"{scheme}://{bucket}"


def object_source(address: str) -> ObjectSource:
    """Read an address.

    Raises:
        InvalidInputError: The form is wrong.
    """
    bucket = bucket_of(address)
    path = address[len(bucket) :].removeprefix("/")
    parts = path.removesuffix("/").split("/") if path.removesuffix("/") else []
    for part in parts:
        if part in ("", ".", ".."):
            shown = "//" if part == "" else part
            raise InvalidInputError(
                f"{address!r} has {shown!r} in its path, which no folder on a disk can have: write the folder's key "
                "without it",
                field="paths",
            )
        if any(ord(character) < 32 or ord(character) == 127 for character in part):
            raise InvalidInputError(f"{address!r} has a control character: rename the object", field="paths")
    fixed = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    pattern = "/".join(parts[fixed:])
    return ObjectSource(
        address, bucket, "/".join(parts[:fixed]), pattern, not parts or bool(pattern) or path.endswith("/")
    )


def matches_glob(pattern: str, name: str) -> bool:
    """Return whether a glob takes a path; `*` stays in one folder, `**` goes below it, hidden names are written out."""
    return _matches(tuple(pattern.split("/")), tuple(name.split("/")))


def _matches(patterns: Sequence[str], names: Sequence[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        visible = next((number for number, name in enumerate(names) if name.startswith(".")), len(names))
        # At the end `**` stands for all files below; in the middle for any number of folders.
        if len(patterns) == 1:
            return bool(names) and visible == len(names)
        return any(_matches(patterns[1:], names[skipped:]) for skipped in range(min(visible, len(names)) + 1))
    if not names or (names[0].startswith(".") and not patterns[0].startswith(".")):
        return False
    return _compiled(patterns[0]).match(names[0]) is not None and _matches(patterns[1:], names[1:])


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
