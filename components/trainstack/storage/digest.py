"""SHA-256 of files, computed in parallel and cached by what `stat` returns for each."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.storage.atomic import write_bytes
from trainstack.storage.cache import cache_folder

# A file changed within this many nanoseconds of being read may change again without its mtime moving
# (coarse clocks), so it is not remembered: git calls such an entry racy and does the same.
RACY_NS = 2_000_000_000
# Files that one thread digests at once.
_PART = 64


def of_bytes(data: bytes) -> str:
    """Hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def of_json(value: Any) -> str:
    """Hex SHA-256 of `value` in canonical JSON (sorted keys, no spaces, UTF-8)."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_tree(files: dict[str, str]) -> str:
    """One digest over relative paths and their digests; order does not matter."""
    return of_json(sorted(files.items()))


def of_files(root: Path, names: Iterable[str], *, workers: int | None = None) -> dict[str, str]:
    """Hex SHA-256 of files below a folder, by their relative paths, computed by several threads.

    Raises:
        OSError: A file is gone or cannot be read.
    """
    files = [(name, f"{root}/{name}") for name in names]
    parts = [files[start : start + _PART] for start in range(0, len(files), _PART)]
    with ThreadPoolExecutor(workers or _workers()) as pool:
        computed = pool.map(_of_paths, [[path for _, path in part] for part in parts])
        return {
            name: digest
            for part, each in zip(parts, computed, strict=True)
            for (name, _), digest in zip(part, each, strict=True)
        }


class DigestCache:
    """Digests of files, keyed by path and proven by size, mtime, ctime and inode.

    A file whose `stat` is unchanged is not read again. The cache is one JSON file that may be deleted at any
    time.
    """

    def __init__(self, path: Path, *, workers: int | None = None) -> None:
        self._path = path
        self._workers = workers or _workers()
        self._entries: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._entries = dict(json.loads(path.read_bytes()))

    @classmethod
    def of_folder(cls, kind: str, folder: str | Path) -> DigestCache:
        """Return the machine's own cache for one folder, which needs no workspace.

        Args:
            kind: The purpose of the digests; each kind has a cache of its own.
            folder: The folder, absolute.
        """
        return cls(cache_folder() / "digests" / f"{kind}-{of_bytes(os.fsencode(folder))[:16]}.json")

    def digests(self, root: Path, names: Iterable[str]) -> dict[str, str]:
        """Digest files below `root`.

        Args:
            root: The folder that the names are relative to.
            names: Relative POSIX paths.

        Returns:
            Relative path to hex SHA-256, in the order given.

        Raises:
            OSError: A file is gone or cannot be read.
        """
        digests: dict[str, str] = {}
        missing: list[tuple[str, str, list[int]]] = []
        base = os.path.abspath(root)  # noqa: PTH100 (a link in the path must stay as the caller named it)
        for name in names:
            path = f"{base}/{name}"
            stat = os.stat(path)  # noqa: PTH116 (10,000 Path objects cost more than the digests)
            proof = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
            entry = self._entries.get(path)
            if entry is not None and entry[:4] == proof:
                digests[name] = entry[4]
            else:
                digests[name] = ""
                missing.append((name, path, proof))
        if missing:
            self._read(missing, digests)
            self._forget(base, digests)
            # A cache that cannot be written costs time later; it must not fail the caller.
            with contextlib.suppress(TrainstackError, OSError):
                write_bytes(self._path, json.dumps(self._entries, separators=(",", ":")).encode())
        return digests

    def _read(self, missing: list[tuple[str, str, list[int]]], digests: dict[str, str]) -> None:
        now = time.time_ns()
        parts = [missing[start : start + _PART] for start in range(0, len(missing), _PART)]
        with ThreadPoolExecutor(self._workers) as pool:
            paths = [[path for _, path, _ in part] for part in parts]
            for part, computed in zip(parts, pool.map(_of_paths, paths), strict=True):
                for (name, path, proof), digest in zip(part, computed, strict=True):
                    digests[name] = digest
                    if now - max(proof[1], proof[2]) > RACY_NS:
                        self._entries[path] = [*proof, digest]

    def _forget(self, base: str, digests: dict[str, str]) -> None:
        """Drop files below `base` that are gone, so that the cache does not grow for ever."""
        current = {f"{base}/{name}" for name in digests}
        for path in [path for path in self._entries if path.startswith(f"{base}/") and path not in current]:
            if not os.path.lexists(path):
                del self._entries[path]


def _workers() -> int:
    return min(8, os.cpu_count() or 1)


def _of_paths(paths: list[str]) -> list[str]:
    """Digest a few files with one buffer: for small files, making the buffer costs more than the digest."""
    buffer = memoryview(bytearray(1 << 18))
    digests: list[str] = []
    for path in paths:
        digest = hashlib.sha256()
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while count := os.readv(descriptor, [buffer]):
                digest.update(buffer[:count])
        finally:
            os.close(descriptor)
        digests.append(digest.hexdigest())
    return digests
