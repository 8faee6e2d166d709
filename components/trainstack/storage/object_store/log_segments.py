"""A store in which long logs are in segments, so that one more line does not send a log of a hundred megabytes again.

    runs/ID/logs/run.txt                   a log of at most a segment
    runs/ID/logs/run.txt.segments/000000   a longer one: segments of 1 MiB, the last of which grows

Objects cannot be appended to. Whoever uses this store sees one file, whichever it is. A log that is there as one object
counts, whatever is left of its segments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from trainstack.storage import digest as digests
from trainstack.storage.atomic import disk_errors, write_bytes
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import Entry, Item, Store

SEGMENT = 1 << 20
_LOG = re.compile(r"(?:[^\n]+/)?logs/[^/\n]+")
_SUFFIX = ".segments"
_AT_ONCE = 8
# What was merged into a log and not noted before a kill is cut off and merged again: it is in the last segments.
_COMPARED = 4


class LogSegmentStore(Store):
    """An object store whose long logs are in segments."""

    def __init__(self, store: ObjectStore) -> None:
        """Use a store.

        Args:
            store: What has the objects.
        """
        self._store = store
        self.address = store.address
        self._uploaded: dict[str, list[tuple[str, str]]] = {}
        self._downloaded: dict[tuple[str, Path], tuple[int, list[str]]] = {}

    def get(self, key: str) -> Entry:
        """Read a record."""
        return self._store.get(key)

    def create(self, key: str, data: bytes) -> str:
        """Write a record where there is none."""
        return self._store.create(key, data)

    def replace(self, key: str, data: bytes, version: str) -> str:
        """Write over a version of a record."""
        return self._store.replace(key, data, version)

    def delete(self, key: str) -> None:
        """Remove a record or content; of a log all its segments."""
        if _LOG.fullmatch(key):
            self.delete_all([key])
        else:
            self._store.delete(key)

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove records or content; of logs all their segments, found by one listing a folder."""
        whole = list(keys)
        logs = {key for key in whole if _LOG.fullmatch(key)}
        folders = {key.rpartition("/")[0] for key in logs}
        segments = [item.key for folder in folders for item in self._store.list(folder) if _log_of(item.key) in logs]
        self._store.delete_all([*whole, *segments])
        for key in logs:
            self._uploaded.pop(key, None)

    def list(self, prefix: str = "") -> Iterator[Item]:
        """Yield all keys below a folder, a log in segments as one item."""
        whole: set[str] = set()
        for log, group in groupby(self._store.list(prefix), lambda item: _log_of(item.key)):
            if not log:
                for item in group:
                    if _LOG.fullmatch(item.key):
                        whole.add(item.key)
                    yield item
            elif log not in whole:
                segments = list(group)
                version = _version(segment.version for segment in segments)
                modified = max(segment.modified for segment in segments)
                yield Item(log, sum(segment.size for segment in segments), version, modified)

    def upload(self, path: Path, key: str) -> str:
        """Store a file as content; of a long log what has come since this object uploaded it last."""
        if not _LOG.fullmatch(key) or path.stat().st_size <= SEGMENT:
            self._uploaded.pop(key, None)
            return self._store.upload(path, key)
        known = self._uploaded.get(key, [])
        with path.open("rb") as file:
            sent = known[: _same(file, known)]
            file.seek(len(sent) * SEGMENT)
            while chunk := file.read(SEGMENT):
                sent.append((digests.of_bytes(chunk), self._store.put(_segment(key, len(sent)), chunk)))
        if not known:
            surplus = {item.key for item in self._store.list(key + _SUFFIX)}
            surplus -= {_segment(key, index) for index in range(len(sent))}
            self._store.delete_all([key, *surplus])
        elif len(known) > len(sent):
            self._store.delete_all([_segment(key, index) for index in range(len(sent), len(known))])
        self._uploaded[key] = sent
        return _version(version for _, version in sent)

    def download(self, key: str, path: Path, digest: str | None = None) -> str:
        """Write content to a file; into that of a long log that this object has downloaded, what has come since."""
        if not _LOG.fullmatch(key):
            return self._store.download(key, path, digest)
        try:
            return self._store.download(key, path, digest)
        except FileNotFoundError:
            segments = list(self._store.list(key + _SUFFIX))
            if not segments:
                raise
        return self._download_segments(key, segments, path)

    def _download_segments(self, key: str, segments: list[Item], path: Path) -> str:
        size, versions = self._downloaded.get((key, path), (0, []))
        if not path.is_file() or path.stat().st_size != size:
            versions = []
        first = 0
        while first < min(len(versions), len(segments)) and versions[first] == segments[first].version:
            first += 1
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            entries = list(pool.map(self._store.get, (segment.key for segment in segments[first:])))
        data = b"".join(entry.data for entry in entries)
        if not first:
            write_bytes(path, data)
        else:
            with disk_errors(path), path.open("r+b") as file:
                file.seek(first * SEGMENT)
                file.write(data)
                file.truncate()
        versions = [*versions[:first], *(entry.version for entry in entries)]
        self._downloaded[key, path] = first * SEGMENT + len(data), versions
        return _version(versions)


def _same(file: BinaryIO, known: Sequence[tuple[str, str]]) -> int:
    """Return how many segments of an earlier upload a file still begins with, by the last ones of them."""
    for index in range(max(0, len(known) - _COMPARED), len(known)):
        file.seek(index * SEGMENT)
        if digests.of_bytes(file.read(SEGMENT)) != known[index][0]:
            # The last one has grown. Where one before it is another one, so may be all.
            return index if index == len(known) - 1 else 0
    return len(known)


def _segment(key: str, index: int) -> str:
    return f"{key}{_SUFFIX}/{index:06}"


def _log_of(key: str) -> str:
    """Return the log that a key is a segment of; empty for any other key."""
    log, mark, _ = key.rpartition(f"{_SUFFIX}/")
    return log if mark and _LOG.fullmatch(log) else ""


def _version(versions: Iterable[str]) -> str:
    return digests.of_bytes(" ".join(versions).encode())[:32]
