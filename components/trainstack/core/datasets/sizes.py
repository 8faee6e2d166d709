"""What a version of a dataset takes: in its source, in the workspace, in this machine's cache."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from trainstack.core.datasets.dataset_record import DatasetRecord, object_files
from trainstack.core.datasets.in_place.node_cache import NodeCache
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError


@dataclass(frozen=True)
class DatasetSizes:
    """Bytes that a version takes. What several versions share counts in each.

    Attributes:
        source: Bytes of objects, which stay in their store.
        workspace: Bytes of files and lists of objects that this machine has of the workspace.
        cache: Bytes of its objects in this machine's cache.
    """

    source: int
    workspace: int
    cache: int


def sizes_of(workspace: Workspace, record: DatasetRecord) -> DatasetSizes:
    """Look what a version takes; no store is asked."""
    kept = 0
    for digest in set(record.blobs):
        with contextlib.suppress(OSError):
            kept += workspace.blobs.path(digest).stat().st_size
    return DatasetSizes(record.objects.size if record.objects else 0, kept, _cached(workspace, record))


def _cached(workspace: Workspace, record: DatasetRecord) -> int:
    if not record.objects:
        return 0
    cache, size = NodeCache(), 0
    # A damaged list is told by `fsck`.
    with contextlib.suppress(TrainstackError):
        for digest in set(cache.digests_of(object_files(workspace, record)).values()):
            with contextlib.suppress(OSError):
                size += cache.blobs.path(digest).stat().st_size
    return size
