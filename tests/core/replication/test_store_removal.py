"""What a store keeps is collected and purged beside machines that register and train."""

import threading

import pytest
from tests.core.replication.test_copies import trained
from tests.core.replication.test_lazy_copy import first
from tests.waiting import until

from trainstack.core.datasets import dataset, dataset_record
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.maintenance import purge, store_fsck, store_gc, store_purge
from trainstack.core.models import model
from trainstack.core.replication.shared import RECORDS, opened, updating
from trainstack.core.runs import index
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.errors import InUseError
from trainstack.storage import lease
from trainstack.storage.digest import of_bytes
from trainstack.storage.lease import acquire
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import blob_key

__all__ = ["first"]
OLD = b"of no record"


@pytest.fixture
def store(bucket_address):
    return ObjectStore(bucket_address)


def keys(store, prefix=""):
    return {item.key for item in store.list(prefix)}


def put(store, data, tmp_path):
    (tmp_path / "blob").write_bytes(data)
    store.upload(tmp_path / "blob", blob_key(of_bytes(data)))


def test_only_what_nothing_needs_is_collected(first, store, tmp_path):
    put(store, OLD, tmp_path)
    (tmp_path / "rest").write_bytes(b"rest")
    store.upload(tmp_path / "rest", "runs/r9/outputs/rest")
    before = keys(store)
    assert store_gc.collect(store, first.root) == []
    garbage = store_gc.collect(store, first.root, grace=-60)
    assert {(item.kind, item.key) for item in garbage} == {
        ("blob", blob_key(of_bytes(OLD))),
        ("rest", "runs/r9/outputs/rest"),
    }
    assert {key for key in before - keys(store) if not key.startswith(("index/", "locks/"))} == {
        item.key for item in garbage
    }
    assert store_fsck.verify(store).damages == []


def test_a_registration_elsewhere_is_waited_for(first, machine, store, tmp_path):
    """The other machine finds a blob that nothing points to, and relies on it."""
    put(store, OLD, tmp_path)
    second = opened(machine("b"))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_bytes(OLD)
    waits = []
    with updating(second, RECORDS, print):
        collection = threading.Thread(target=lambda: store_gc.collect(store, tmp_path / "gc", waits.append, grace=-60))
        collection.start()
        until(lambda: waits)
        dataset.register(second, DatasetSpec(name="old", paths=(str(tmp_path / "old"),)))
    collection.join()
    assert blob_key(of_bytes(OLD)) in keys(store, "blobs")
    assert store_fsck.verify(store).damages == []


def test_a_run_takes_its_code_along_whatever_is_there(first, machine, store, tmp_path):
    code = next(item for item in store.list("blobs") if item.key == blob_key(of_bytes(b"code")))
    second = opened(machine("b"))
    # The store tells whole seconds.
    until(lambda: store_gc._now(store) > code.modified)
    with updating(second, "runs/r5", print):
        trained(second, "r5")
    again = next(item for item in store.list("blobs") if item.key == code.key)
    assert again.modified > code.modified


def test_a_purged_run_stays_away(first, machine, store):
    second = opened(machine("b"))
    run = RunDirectory(second.run("r2"))
    with updating(second, "runs/r2", print):
        trained(second, "r2", status=Status.FAILED, outputs={})
    machine("a")
    again = opened(machine("a"))
    assert RunDirectory(again.run("r2")).exists()
    store_purge.purge(store, [purge.Victim("run", "r2", again.run("r2"))])
    assert keys(store, "runs/r2") == set()
    # The machine that made it has it yet, with something that it never pushed.
    machine("b")
    (run.logs / "late.txt").write_text("late")
    with updating(second, "sweeps/other", print):
        pass
    assert keys(store, "runs/r2") == set()
    assert {record.id for record in index.newest(opened(machine("b")))} == {"r1"}


def test_what_is_needed_is_not_purged(first, store, monkeypatch):
    with pytest.raises(InUseError, match="model net version 1 was made by it"):
        store_purge.purge(store, purge.run(first, RunDirectory(first.run("r1"))))
    monkeypatch.setattr(store_purge, "_DEAD_SECONDS", 0)
    acquire(store, "runs/r2", "another machine")
    with pytest.raises(InUseError, match="another machine has the lease of runs/r2"):
        store_purge.purge(store, [purge.Victim("run", "r2", first.run("r2"))])
    assert lease.owner_of(store, RECORDS) == ""


def test_a_purged_version_is_never_given_again(first, machine, store, tmp_path):
    store_purge.purge(store, [*purge.models(first, "net"), *purge.datasets(first, "data")])
    second = opened(machine("b"))
    assert (model.list_models(second), dataset_record.list_datasets(second)) == ([], [])
    with updating(second, RECORDS, print):
        dataset.register(second, DatasetSpec(name="data", paths=(str(tmp_path / "data"),)))
    assert "datasets/data/2.json" in keys(store, "datasets")
    assert "datasets/data/1.json" not in keys(store, "datasets")
