"""From an address to the store of a workspace there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from trainstack.storage.folder_store import FolderStore
from trainstack.storage.store import Store


def open_store(address: str) -> Store:
    """Return the store at an address; no server is contacted.

    Args:
        address: `s3://BUCKET/FOLDER`, `gs://BUCKET/FOLDER`, `az://CONTAINER/FOLDER`, or the path of a folder.

    Raises:
        InvalidInputError: It is neither.
    """
    if not urlsplit(address).scheme:
        return FolderStore(Path(address).expanduser().absolute())
    # Loaded here: only those who have a bucket wait for its library.
    from trainstack.storage.object_store.log_segments import LogSegmentStore
    from trainstack.storage.object_store.store import ObjectStore

    return LogSegmentStore(ObjectStore(address))
