"""The index of a store's runs is true whoever writes, in whatever order, and wherever a writer was killed."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainstack.core.runs import store_index
from trainstack.core.runs.indexed_store import IndexedStore
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.runs.store_runs import StoreRuns
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.store import VersionConflictError


class Counted(FolderStore):
    """Notes what is read."""

    def __init__(self, root):
        super().__init__(root)
        self.read = []

    def get(self, key):
        self.read.append(key)
        return super().get(key)


@pytest.fixture
def store(tmp_path):
    return Counted(tmp_path / "store")


@pytest.fixture
def writer(store):
    return IndexedStore(store)


def data(run_id, status=Status.COMPLETED, created=1.0, name="fit", **facts):
    record = RunRecord(id=run_id, name=name, status=status, created=created, updated=created, attempt=1, **facts)
    return record.model_dump_json().encode()


def write(store, run_id, *args, **facts):
    key = f"runs/{run_id}/run.json"
    try:
        version = store.get(key).version
    except FileNotFoundError:
        return store.create(key, data(run_id, *args, **facts))
    return store.replace(key, data(run_id, *args, **facts), version)


def seen(store, root, statuses=(), name=None, limit=None):
    runs = StoreRuns(root, store)
    runs.look()
    return [(record.id, record.status.value) for record in runs.newest(statuses, name, limit)]


def test_what_ended_is_listed_without_reading_records_again(store, writer, tmp_path):
    for number in range(40):
        write(writer, f"r{number:02}", created=float(number))
    assert store_index.compact(store)
    store.read.clear()
    assert seen(store, tmp_path / "a", limit=2) == [("r39", "completed"), ("r38", "completed")]
    assert [key for key in store.read if key.endswith("run.json")] == []
    assert len(store.read) == 2
    store.read.clear()
    assert len(seen(store, tmp_path / "a")) == 40
    assert store.read == []


def test_a_filter_and_a_limit(store, writer, tmp_path):
    write(writer, "a", Status.FAILED, 1.0)
    write(writer, "b", Status.COMPLETED, 2.0, name="other")
    write(writer, "c", Status.FAILED, 3.0, name="other\tone")
    store_index.compact(store)
    write(writer, "d", Status.FAILED, 4.0)
    assert seen(store, tmp_path / "a", ["failed"]) == [("d", "failed"), ("c", "failed"), ("a", "failed")]
    assert seen(store, tmp_path / "a", ["failed"], limit=1) == [("d", "failed")]
    assert seen(store, tmp_path / "a", name="other") == [("b", "completed")]
    assert seen(store, tmp_path / "a", name="other\tone") == [("c", "failed")]


def test_a_run_that_goes_on_is_read_itself(store, writer, tmp_path):
    write(writer, "a", Status.FAILED)
    store_index.compact(store)
    assert seen(store, tmp_path / "a") == [("a", "failed")]
    store.create("locks/runs/a.json", b'{"owner": "another machine"}')
    write(writer, "a", Status.RUNNING)
    assert seen(store, tmp_path / "a") == [("a", "running")]
    assert seen(store, tmp_path / "a", ["failed"]) == []
    assert not store_index.compact(store)
    write(writer, "a", Status.COMPLETED)
    assert seen(store, tmp_path / "a") == seen(store, tmp_path / "b") == [("a", "completed")]


def test_a_run_that_nobody_drives_is_interrupted(store, writer, tmp_path):
    write(writer, "a", Status.RUNNING)
    assert seen(store, tmp_path / "a") == [("a", "interrupted")]


def test_a_run_that_is_gone_is_not_listed(store, writer, tmp_path):
    write(writer, "a")
    write(writer, "b")
    store_index.compact(store)
    assert len(seen(store, tmp_path / "a")) == 2
    writer.delete("runs/a/run.json")
    assert seen(store, tmp_path / "a") == [("b", "completed")]
    store_index.compact(store)
    assert seen(store, tmp_path / "a") == seen(store, tmp_path / "b") == [("b", "completed")]
    write(writer, "a")
    assert len(seen(store, tmp_path / "a")) == 2


def test_a_missing_index_is_made_from_the_records(store, tmp_path):
    for number in range(20):
        write(store, f"r{number}", Status.COMPLETED if number else Status.RUNNING)
    assert len(seen(store, tmp_path / "a", ["completed"])) == 19
    assert store_index.look(store).open == {"r0": ["rebuilt"]}
    # The cache of one that knew another index is of no use, and does no harm.
    for item in list(store.list("index")):
        store.delete(item.key)
    store.delete("runs/r5/run.json")
    assert len(seen(store, tmp_path / "a")) == 19


def test_segments_are_few_and_merged(store, writer, tmp_path):
    reader = tmp_path / "reader"
    for number in range(64):
        write(writer, f"r{number}")
        store_index.compact(store)
        if number % 7 == 0:
            assert len(seen(store, reader)) == number + 1
    assert len(list(store.list("index/runs/segments"))) == len(store_index.segments(store)) <= 7
    assert len(seen(store, reader)) == len(seen(store, tmp_path / "new")) == 64


@pytest.mark.parametrize("step", range(1, 8))
def test_a_writer_that_is_killed_leaves_nothing_wrong(store, tmp_path, step):
    write(IndexedStore(store), "a", Status.FAILED)
    store_index.compact(store)
    seen(store, tmp_path / "reader")
    left = [step]

    class Killed(FolderStore):
        def create(self, key, data):
            self.next()
            return super().create(key, data)

        def replace(self, key, data, version):
            self.next()
            return super().replace(key, data, version)

        def delete(self, key):
            self.next()
            super().delete(key)

        def next(self):
            left[0] -= 1
            if left[0] == 0:
                raise ZeroDivisionError

    try:
        write(IndexedStore(Killed(store.root)), "a", Status.COMPLETED)
        store_index.compact(Killed(store.root))
    except ZeroDivisionError:
        pass
    truth = RunRecord.model_validate_json(store.get("runs/a/run.json").data).status.value
    for reader in ("reader", "new"):
        assert seen(store, tmp_path / reader) == [("a", truth)]
    write(IndexedStore(store), "a", Status.CANCELED)
    store_index.compact(store)
    for reader in ("reader", "newer"):
        assert seen(store, tmp_path / reader) == [("a", "canceled")]


def test_a_lost_race_leaves_no_mark(store, writer):
    write(writer, "a")
    with pytest.raises(FileExistsError):
        IndexedStore(store).create("runs/a/run.json", data("a"))
    with pytest.raises(VersionConflictError):
        IndexedStore(store).replace("runs/a/run.json", data("a"), "another")
    assert store_index.look(store).open == {}


def test_machines_that_write_read_and_compact_at_once_agree(store, tmp_path):
    def machine(number):
        lot = random.Random(number)
        mine = IndexedStore(FolderStore(store.root))
        for _ in range(15):
            run_id = f"m{number}-{lot.randrange(4)}"
            write(mine, run_id, lot.choice([Status.RUNNING, Status.FAILED, Status.COMPLETED]))
            if lot.random() < 0.3:
                store_index.compact(mine)
            if lot.random() < 0.3:
                seen(mine, tmp_path / f"machine-{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(machine, range(4)))
    truth = {
        item.key.split("/")[1]: RunRecord.model_validate_json(store.get(item.key).data).status
        for item in store.list("runs")
    }
    expected = {run_id: status.value if status.ended else "interrupted" for run_id, status in truth.items()}
    for number in range(4):
        assert dict(seen(store, tmp_path / f"machine-{number}")) == expected
    assert dict(seen(store, tmp_path / "new")) == expected
