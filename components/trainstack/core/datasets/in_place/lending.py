"""Give a run its objects: mounted, as hard links into the machine's cache, or downloaded, as files of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainstack.core.datasets.in_place.manifest import ObjectFile
from trainstack.core.datasets.in_place.node_cache import NodeCache
from trainstack.core.datasets.in_place.object_reader import ObjectReader
from trainstack.core.datasets.progress import format_bytes
from trainstack.errors import NotFoundError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage import disk_space
from trainstack.storage.blobs import seal

Mode = Literal["mount", "download"]
_AT_ONCE = 16
_REPORT_SECONDS = 1.0


@dataclass(frozen=True)
class Lent:
    """What a run was given of a dataset in place.

    Attributes:
        digests: SHA-256 by path in the dataset.
        way: How, in a few words.
        fetched: How many objects were fetched for it.
    """

    digests: dict[str, str]
    way: str
    fetched: int


def lend_objects(
    objects: Sequence[ObjectFile],
    folder: Path,
    reader: ObjectReader,
    mode: Mode,
    *,
    label: str,
    cache: NodeCache,
    limit: int,
    report: Callable[[str], None] = lambda _: None,
) -> Lent:
    """Put objects into a run's folder, read-only; all are there when this returns.

    Args:
        objects: The objects of one version.
        folder: Made when missing.
        reader: Fetches them.
        mode: `mount` for links into the cache, `download` for files of the run's own.
        label: The dataset, for messages.
        cache: The machine's cache.
        limit: Bytes that the cache may hold.
        report: Told the progress, about once a second; may raise to end it.

    Raises:
        TrainstackError: An object changed, a store refuses or does not answer, or there is no room.
    """
    known = cache.digests_of(objects)
    sizes = {entry.identity: entry.size for entry in objects}
    missing = sum(
        size
        for identity, size in sizes.items()
        if (digest := known.get(identity)) is None or not cache.blobs.path(digest).is_file()
    )
    if mode == "mount":
        if (needed := sum(sizes.values())) > limit:
            raise TrainstackError(
                f"{label} has {needed:,} bytes, and this machine's cache may hold {limit:,}: raise cache_gib of the "
                "compute, or take as_download()"
            )
        cache.make_room(missing, limit)
        disk_space.require(cache.folder, missing, label)
    else:
        disk_space.require(folder, sum(entry.size for entry in objects), label)

    def mount(entry: ObjectFile) -> tuple[str, bool]:
        target = folder / entry.path
        while True:
            digest, fetched = cache.obtain(entry, known.get(entry.identity), lambda path: reader.read(entry, path))
            try:
                cache.blobs.link(digest, target)
            except NotFoundError:
                # Somebody has made room just now.
                continue
            return digest, fetched

    def download(entry: ObjectFile) -> tuple[str, bool]:
        target, digest = folder / entry.path, known.get(entry.identity)
        if digest is not None and cache.blobs.has(digest):
            cache.blobs.lend(digest, target, copy=True)
            return digest, False
        reader.read(entry, target)
        digest = digests.of_file(target)
        target.chmod(0o444)
        os.utime(target, ns=(seal(digest), seal(digest)))
        return digest, True

    digests_by_path, fetched = _in_parallel(mount if mode == "mount" else download, objects, label, report)
    cache.remember({entry.identity: digests_by_path[entry.path] for entry in objects})
    way = "hard links into this machine's cache" if mode == "mount" else "files of its own"
    return Lent(digests_by_path, way, fetched)


def _in_parallel(
    lend: Callable[[ObjectFile], tuple[str, bool]],
    objects: Sequence[ObjectFile],
    label: str,
    report: Callable[[str], None],
) -> tuple[dict[str, str], int]:
    """Lend objects, a few at once; the first failure calls off the others and is raised."""
    digests_by_path: dict[str, str] = {}
    done = fetched = 0
    size, next_report = sum(entry.size for entry in objects), time.monotonic() + _REPORT_SECONDS
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = {pool.submit(lend, entry): entry for entry in objects}
        try:
            for future in as_completed(futures):
                entry = futures[future]
                digests_by_path[entry.path], was_fetched = future.result()
                done, fetched = done + entry.size, fetched + was_fetched
                if time.monotonic() >= next_report:
                    report(f"data of {label}: {format_bytes(done, size)}")
                    next_report = time.monotonic() + _REPORT_SECONDS
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return digests_by_path, fetched
