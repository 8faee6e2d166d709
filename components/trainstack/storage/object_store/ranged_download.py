"""Download an object into a file: in ranges side by side, and verified before the file appears."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import PreconditionError

from trainstack.errors import DigestMismatchError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.atomic import disk_errors
from trainstack.storage.object_store.etag import etag_of

_PART = 16 << 20
_AT_ONCE = 4


@dataclass(frozen=True)
class Expected:
    """What an object must still be when it is read.

    Attributes:
        e_tag: Its ETag.
        size: Its bytes.
        version: Its version id; empty for the newest.
    """

    e_tag: str
    size: int
    version: str = ""


class ObjectChangedError(Exception):
    """An object is no longer the one that was expected; the text says what it is now."""


def download(
    store: Any, key: str, path: Path, digest: str | None, *, expected: Expected | None = None, durable: bool = True
) -> str:
    """Download an object.

    Args:
        store: Obstore's store.
        key: The object.
        path: The file, which appears when it is whole.
        digest: Hex SHA-256 that the bytes must have, where it is known.
        expected: Which object it must be.
        durable: Whether the file is on the disk when this returns.

    Returns:
        The object's version.

    Raises:
        DigestMismatchError: The bytes have another digest.
        ObjectChangedError: It is another object than expected.
        FileNotFoundError: There is no such object.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name[-200:]}.{secrets.token_hex(4)}.tmp")
        try:
            with unfinished.open("xb") as file:
                version = _fetch(store, key, file.fileno(), expected)
                if durable:
                    os.fsync(file.fileno())
            if digest is not None and (actual := digests.of_file(unfinished)) != digest:
                raise DigestMismatchError(f"{key} has SHA-256 {actual} in the store, not {digest}: it is damaged there")
            unfinished.replace(path)
            return version
        finally:
            unfinished.unlink(missing_ok=True)


def _fetch(store: Any, key: str, descriptor: int, expected: Expected | None) -> str:
    condition = _condition(expected)
    with _changes(expected):
        first = obstore.get(store, key, options=condition)
        size, e_tag = int(first.meta["size"]), etag_of(first.meta)
        if expected is not None and (e_tag, size) != (expected.e_tag, expected.size):
            raise ObjectChangedError(f"its ETag is {e_tag}, it has {size:,} bytes")
        if size <= _PART:
            _write(descriptor, bytes(first.bytes()), 0, size, key)
            return e_tag

        def fetch(start: int) -> None:
            end = min(start + _PART, size)
            # The condition keeps parts of two versions from being mixed.
            options: Any = {**condition, "range": (start, end), "if_match": e_tag}
            part = obstore.get(store, key, options=options)
            _write(descriptor, bytes(part.bytes()), start, end, key)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(fetch, start) for start in range(0, size, _PART)]:
                done.result()
        return e_tag


def _condition(expected: Expected | None) -> Any:
    """Return the options of a request for the expected object alone."""
    if expected is None:
        return {}
    return {"version": expected.version} if expected.version else {"if_match": expected.e_tag}


@contextlib.contextmanager
def _changes(expected: Expected | None) -> Generator[None]:
    try:
        yield
    except PreconditionError as exc:
        if expected is None:
            raise
        raise ObjectChangedError("it was overwritten") from exc


def _write(descriptor: int, data: bytes, start: int, end: int, key: str) -> None:
    if len(data) != end - start:
        raise TrainstackError(f"{key}: the store sent {len(data)} bytes in place of {end - start}: run it again")
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, start)
        start, view = start + count, view[count:]
