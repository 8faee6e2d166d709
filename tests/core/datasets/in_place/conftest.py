"""A folder of a bucket with data, on a real S3 server."""

import os
from collections.abc import Callable
from datetime import timedelta

import obstore
import pytest
from obstore.store import S3Store

from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.object_store.connection import connect


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def put(bucket_address) -> Callable[..., None]:
    """Writes objects below the folder, past any proxy, by key and content."""
    store: S3Store = connect(bucket_address, timeout=timedelta(seconds=20), retries=3)

    def write(**files: bytes) -> None:
        for name, content in files.items():
            obstore.put(store, name, content)

    write.store = store  # pyright: ignore[reportFunctionMemberAccess]
    return write


@pytest.fixture
def photos(bucket_address, put):
    """The address of a folder with three objects in two folders."""
    for name in ("photos/train/a.png", "photos/train/b.png", "photos/test/c.png"):
        put(**{name: os.urandom(1000)})
    return f"{bucket_address}/photos"
