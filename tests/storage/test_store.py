"""What every store of a workspace does: the same tests for a folder, a real S3 server, and Azure's emulator."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainstack.errors import DigestMismatchError, InvalidInputError
from trainstack.storage import digest
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import VersionConflictError, blob_key

RACERS = 16
RECORD = "runs/0123456789abcdef/run.json"


@pytest.fixture(params=["folder", "s3", "az"])
def store(request, tmp_path):
    if request.param == "folder":
        return FolderStore(tmp_path / "workspace")
    if request.param == "s3":
        return ObjectStore(request.getfixturevalue("bucket_address"))
    return ObjectStore(request.getfixturevalue("azure_folder"))


@pytest.fixture
def file(tmp_path):
    def write(data):
        path = tmp_path / f"file-{digest.of_bytes(data)[:8]}"
        path.write_bytes(data)
        return path

    return write


def race(write):
    """What each of many writers came to, all at the same moment."""
    start = threading.Barrier(RACERS)

    def run(number):
        start.wait()
        try:
            return write(number)
        except (FileExistsError, VersionConflictError):
            return None

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def keys(store, prefix=""):
    return [item.key for item in store.list(prefix)]


def test_a_record_reads_as_written(store):
    version = store.create(RECORD, b"one")
    assert (store.get(RECORD).data, store.get(RECORD).version) == (b"one", version)
    renewed = store.replace(RECORD, b"two", version)
    assert (store.get(RECORD).data, store.get(RECORD).version) == (b"two", renewed)
    assert renewed != version


def test_a_record_that_is_there_is_not_created(store):
    store.create(RECORD, b"one")
    with pytest.raises(FileExistsError):
        store.create(RECORD, b"two")
    assert store.get(RECORD).data == b"one"


def test_only_the_version_that_was_read_is_replaced(store):
    first = store.create(RECORD, b"one")
    second = store.replace(RECORD, b"two", first)
    with pytest.raises(VersionConflictError):
        store.replace(RECORD, b"six", first)
    store.delete(RECORD)
    with pytest.raises(VersionConflictError):
        store.replace(RECORD, b"six", second)
    assert keys(store, "runs") == []


def test_of_racing_creates_one_wins(store):
    for number in range(20):
        key = f"datasets/mnist/{number}.json"
        winners = [writer for writer in race(lambda w, key=key: store.create(key, b"%d" % w) and b"%d" % w) if writer]
        assert winners == [store.get(key).data]


def test_of_racing_replaces_one_wins(store):
    version = store.create(RECORD, b"before")
    for number in range(20):
        winners = race(lambda w, n=number, v=version: store.replace(RECORD, b"round %d, writer %d" % (n, w), v))
        version = store.get(RECORD).version
        assert [winner for winner in winners if winner] == [version]


def test_counting_by_compare_and_swap_loses_nothing(store):
    store.create("counter", b"0")

    def add(_):
        while True:
            entry = store.get("counter")
            try:
                return store.replace("counter", b"%d" % (int(entry.data) + 1), entry.version)
            except VersionConflictError:
                continue

    race(add)
    assert store.get("counter").data == b"%d" % RACERS


def test_what_is_not_there(store, tmp_path):
    with pytest.raises(FileNotFoundError):
        store.get(RECORD)
    with pytest.raises(FileNotFoundError):
        store.download(RECORD, tmp_path / "copy")
    with pytest.raises(FileNotFoundError):
        store.upload(tmp_path / "absent", RECORD)
    store.delete(RECORD)
    assert keys(store, "runs") == []
    assert not (tmp_path / "copy").exists()


def test_a_thousand_keys_are_listed_in_order(store):
    written = sorted(f"runs/{number:016x}/run.json" for number in range(1_010))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.create(key, key.encode()), written))
    items = list(store.list("runs"))
    assert [item.key for item in items] == written
    assert {item.size for item in items} == {len(written[0])}
    assert items[7].version == store.get(written[7]).version


def test_a_prefix_is_a_folder(store):
    for key in ("runs/1/run.json", "runs/10/run.json", "runs-of-old", "models/a/1/model.json"):
        store.create(key, b"")
    assert keys(store, "runs") == ["runs/1/run.json", "runs/10/run.json"]
    assert keys(store, "runs/1") == ["runs/1/run.json"]
    assert keys(store, "sweeps") == []
    assert set(keys(store)) >= {"models/a/1/model.json", "runs-of-old", "runs/1/run.json"}


@pytest.mark.parametrize("name", ["a b.txt", "50%25~#?.txt", "ß/ü", "x[1]{2}^`|<>*\"'.txt", "back\\slash", ".h"])
def test_names_that_scripts_choose(store, file, tmp_path, name):
    if "\\" in name and store.address.startswith("az:"):
        pytest.skip("Azure takes a backslash for a slash")
    key = f"runs/1/outputs/{name}"
    store.upload(file(b"bytes"), key)
    assert keys(store, "runs") == [key]
    store.download(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"bytes"


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../other", "a//b", "a/./b", "line\nend", "x" * 901])
def test_keys_that_cannot_be(store, key):
    with pytest.raises(InvalidInputError, match="cannot be a key"):
        store.create(key, b"")


@pytest.mark.parametrize("size", [0, 1, 5 << 20, 40 << 20])
def test_content_of_any_size_comes_back(store, file, tmp_path, size):
    data = os.urandom(size)
    key = blob_key(digest.of_bytes(data))
    store.upload(file(data), key)
    store.download(key, tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == data


def test_content_under_a_false_digest_is_refused(store, file, tmp_path):
    with pytest.raises(DigestMismatchError):
        store.upload(file(b"other"), blob_key("0" * 64))
    assert keys(store, "blobs/sha256") == []
    store.upload(file(b"harmed"), "runs/1/outputs/model")
    with pytest.raises(DigestMismatchError):
        store.download("runs/1/outputs/model", tmp_path / "copy", digest.of_bytes(b"whole"))
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == []


def test_content_is_written_over(store, file, tmp_path):
    for data in (b"first", b"second"):
        store.upload(file(data), "runs/1/logs/run.txt")
        store.download("runs/1/logs/run.txt", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data
