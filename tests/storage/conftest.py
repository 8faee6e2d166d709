"""A disk that fills up, an S3 server, and a bad one."""

import contextlib
import os
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.storage.faulty_proxy import FaultyProxy

from trainstack.storage.object_store.store import ObjectStore


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, where the kernel lets us mount one."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def bucket_address(monkeypatch, tmp_path):
    """The address of an empty folder in the bucket of a real S3 server."""
    if not os.environ.get("AWS_ENDPOINT_URL"):
        pytest.skip("AWS_ENDPOINT_URL names no S3 server")
    credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    address = f"s3://trainstack/tests-{secrets.token_hex(6)}"
    yield address
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(address)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.delete, [item.key for item in store.list()]))


@pytest.fixture
def proxy(bucket_address, monkeypatch):
    """A proxy before that server, which the environment names in its place."""
    with contextlib.closing(FaultyProxy(os.environ["AWS_ENDPOINT_URL"])) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy
