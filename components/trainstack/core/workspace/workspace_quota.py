"""The quota of a workspace, where its truth is: in its folder, or in an object store."""

from __future__ import annotations

import functools
from pathlib import Path

from trainstack.core.workspace.store_cache import address_of
from trainstack.storage import disk_space
from trainstack.storage.addresses import open_store
from trainstack.storage.quota import Quota

_FOLDER_SECONDS = 5.0
_STORE_SECONDS = 300.0


def quota_of(root: Path, limit: int) -> Quota:
    """Return what checks that the workspace of a folder stays below a limit.

    A file with several links counts once in a folder. A store is listed, which takes a request for a thousand objects.

    Args:
        root: The folder.
        limit: How many bytes the workspace may hold.
    """
    if address := address_of(root):
        return _quota_of_store(address, limit)
    return Quota(str(root), limit, functools.partial(disk_space.used, root), again_after=_FOLDER_SECONDS)


@functools.cache
def _quota_of_store(address: str, limit: int) -> Quota:
    def measure() -> int:
        return sum(item.size for item in open_store(address).list())

    return Quota(address, limit, measure, again_after=_STORE_SECONDS)
