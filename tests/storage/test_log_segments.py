"""Long logs in a bucket: sent and fetched by what is new, seen as one file."""

import os

import pytest

from trainstack.storage.addresses import open_store
from trainstack.storage.object_store.log_segments import SEGMENT
from trainstack.storage.object_store.store import ObjectStore

LOG = "runs/1/logs/run.txt"


@pytest.fixture
def bucket(bucket_address):
    return ObjectStore(bucket_address)


@pytest.fixture
def log(tmp_path):
    """A log of this machine, and what makes it longer."""
    path = tmp_path / "run.txt"

    def grow(size):
        with path.open("ab") as file:
            file.write(os.urandom(size))
        return path

    return grow


@pytest.fixture
def requests(monkeypatch):
    """What is written and read of objects, by key."""
    seen = []
    for name in ("put", "get"):
        before = getattr(ObjectStore, name)

        def noted(self, key, *rest, before=before, name=name):
            seen.append((name, key.rpartition("/")[2]))
            return before(self, key, *rest)

        monkeypatch.setattr(ObjectStore, name, noted)
    return seen


def keys(store):
    return [item.key for item in store.list("runs")]


def test_a_short_log_is_one_object(bucket_address, bucket, log, tmp_path):
    store = open_store(bucket_address)
    version = store.upload(log(1000), LOG)
    assert keys(bucket) == keys(store) == [LOG]
    assert store.download(LOG, tmp_path / "here") == version


def test_a_long_log_is_sent_and_fetched_by_what_is_new(bucket_address, bucket, log, tmp_path, requests):
    sender, reader, here = open_store(bucket_address), open_store(bucket_address), tmp_path / "here"
    path = log(2 * SEGMENT + 5)
    version = sender.upload(path, LOG)
    assert [item.key for item in bucket.list()] == [f"{LOG}.segments/00000{number}" for number in range(3)]
    assert [(item.key, item.size, item.version) for item in reader.list()] == [(LOG, 2 * SEGMENT + 5, version)]
    assert reader.download(LOG, here) == version
    requests.clear()
    log(SEGMENT)
    version = sender.upload(path, LOG)
    assert reader.download(LOG, here) == version
    assert sorted(requests) == [("get", "000002"), ("get", "000003"), ("put", "000002"), ("put", "000003")]
    assert here.read_bytes() == path.read_bytes()


def test_a_log_that_grows_long_replaces_its_object(bucket_address, bucket, log, tmp_path):
    store = open_store(bucket_address)
    store.upload(log(10), LOG)
    version = store.upload(log(SEGMENT), LOG)
    assert keys(store) == [LOG]
    assert LOG not in keys(bucket)
    assert store.download(LOG, tmp_path / "here") == version


@pytest.mark.parametrize("left", [5, SEGMENT + 7, 2 * SEGMENT])
def test_a_log_that_was_cut_is_whole_again(bucket_address, log, tmp_path, left):
    store, here = open_store(bucket_address), tmp_path / "here"
    path = log(3 * SEGMENT)
    store.upload(path, LOG)
    store.download(LOG, here)
    os.truncate(path, left)
    log(3)
    version = store.upload(path, LOG)
    assert {item.size for item in store.list()} == {left + 3}
    assert store.download(LOG, here) == version
    assert here.read_bytes() == path.read_bytes()


def test_another_machine_goes_on_with_a_log(bucket_address, bucket, log, tmp_path):
    path = log(3 * SEGMENT)
    open_store(bucket_address).upload(path, LOG)
    second = tmp_path / "second"
    store = open_store(bucket_address)
    store.download(LOG, second)
    second.write_bytes(second.read_bytes()[: SEGMENT + 9])
    store.upload(second, LOG)
    assert len(keys(bucket)) == 2
    open_store(bucket_address).download(LOG, tmp_path / "third")
    assert (tmp_path / "third").read_bytes() == second.read_bytes()


@pytest.mark.parametrize("remove", [lambda store: store.delete(LOG), lambda store: store.delete_all(["runs/2", LOG])])
def test_a_log_goes_with_its_segments(bucket_address, bucket, log, remove):
    store = open_store(bucket_address)
    store.upload(log(2 * SEGMENT), LOG)
    remove(store)
    assert keys(bucket) == []


def test_a_file_here_that_was_changed_is_fetched_whole(bucket_address, log, tmp_path):
    store, here = open_store(bucket_address), tmp_path / "here"
    path = log(2 * SEGMENT)
    store.upload(path, LOG)
    store.download(LOG, here)
    here.write_bytes(b"short")
    store.download(LOG, here)
    assert here.read_bytes() == path.read_bytes()
