"""Download an object into a file: in ranges side by side, and verified before the file appears."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore

from trainstack.errors import DigestMismatchError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.atomic import disk_errors

_PART = 16 << 20
_AT_ONCE = 4


def download(store: Any, key: str, path: Path, digest: str | None) -> str:
    """Download an object.

    Args:
        store: Obstore's store.
        key: The object.
        path: The file, which appears when it is whole.
        digest: Hex SHA-256 that the bytes must have, where it is known.

    Returns:
        The object's version.

    Raises:
        DigestMismatchError: The bytes have another digest.
        FileNotFoundError: There is no such object.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with unfinished.open("xb") as file:
                version = _fetch(store, key, file.fileno())
                os.fsync(file.fileno())
            if digest is not None and (actual := digests.of_file(unfinished)) != digest:
                raise DigestMismatchError(f"{key} has SHA-256 {actual} in the store, not {digest}: it is damaged there")
            unfinished.replace(path)
            return version
        finally:
            unfinished.unlink(missing_ok=True)


def _fetch(store: Any, key: str, descriptor: int) -> str:
    first = obstore.get(store, key)
    size, e_tag = int(first.meta["size"]), str(first.meta["e_tag"])
    if size <= _PART:
        _write(descriptor, bytes(first.bytes()), 0, size, key)
        return e_tag

    def fetch(start: int) -> None:
        end = min(start + _PART, size)
        # The condition keeps parts of two versions from being mixed.
        part = obstore.get(store, key, options={"range": (start, end), "if_match": e_tag})
        _write(descriptor, bytes(part.bytes()), start, end, key)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(fetch, start) for start in range(0, size, _PART)]:
            done.result()
    return e_tag


def _write(descriptor: int, data: bytes, start: int, end: int, key: str) -> None:
    if len(data) != end - start:
        raise TrainstackError(f"{key}: the store sent {len(data)} bytes in place of {end - start}: run it again")
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, start)
        start, view = start + count, view[count:]
