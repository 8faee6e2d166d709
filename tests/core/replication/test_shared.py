"""A workspace in an object store, as each of several machines uses it: on a real server."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainstack.core.compute import compute
from trainstack.core.replication.shared import RECORDS, created, limited, opened, refreshed, updating
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.workspace import store_cache
from trainstack.errors import TrainstackError, WorkspaceNotFoundError
from trainstack.storage import lease
from trainstack.storage.lease import LeaseLostError, acquire
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import VersionConflictError
from trainstack.targets.compute_spec import ComputeSpec

RUN = "runs/0123456789abcdef"


def names(workspace):
    return sorted(path.name for path in (workspace.root / "computes").glob("*"))


def add(workspace, name):
    compute.ensure(workspace, ComputeSpec(name=name, target="local", max_nodes=1))


def running(status=Status.RUNNING):
    record = RunRecord(id="0123456789abcdef", name="fit", status=status, created=1.0, updated=1.0)
    return record.model_dump_json().encode()


def nobody(_owner):
    pytest.fail("nobody has the lease")


def test_no_workspace_at_an_address_says_how_to_make_one(machine):
    with pytest.raises(WorkspaceNotFoundError, match=r"no workspace at s3://.*trainstack workspace push"):
        opened(machine("a"))


def test_what_one_machine_makes_another_one_has(machine):
    first = created(machine("a"), "team")
    with updating(first, RECORDS, nobody):
        add(first, "cluster")
    second = opened(machine("b"))
    assert (second.root != first.root, second.id, names(second)) == (True, first.id, ["cluster"])


def test_a_failed_change_is_kept_as_far_as_it_went(machine):
    first = created(machine("a"), "team")

    def change():
        with updating(first, RECORDS, nobody):
            add(first, "cluster")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert names(opened(machine("b"))) == ["cluster"]


def test_machines_that_create_it_at_once_have_one(machine, tmp_path, monkeypatch):
    root = machine("a")
    folders = threading.local()
    monkeypatch.setattr(store_cache, "cache_folder", lambda: tmp_path / folders.name)

    def create(name):
        folders.name = name
        return created(root, "team").id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(create, ["a", "b", "c", "d"]))) == 1


def test_another_name_at_the_address_is_refused(machine):
    created(machine("a"), "team")
    with pytest.raises(TrainstackError, match="is the workspace 'team', not 'mine'"):
        created(machine("b"), "mine")


def test_a_quota_is_that_of_the_store(machine, bucket_address, tmp_path):
    first = limited(created(machine("a"), "team"), 5_000)
    (tmp_path / "file").write_bytes(bytes(4_000))
    ObjectStore(bucket_address).upload(tmp_path / "file", "runs/0123456789abcdef/outputs/file")
    second = refreshed(machine("b"))
    assert (first.quota, second.quota) == (5_000, 5_000)
    second.blobs.require(500, "a small file")
    with pytest.raises(TrainstackError, match=r"quota: the model needs 2,000 bytes, s3://.* holds .* of the 5,000"):
        second.blobs.require(2_000, "the model")
    limited(second, None)
    assert refreshed(machine("a")).quota is None


def test_a_change_waits_for_another_machine_and_says_for_whom(machine, bucket_address):
    first = created(machine("a"), "team")
    acquire(ObjectStore(bucket_address), RECORDS, "another machine", seconds=0.5)
    owners = []
    with updating(first, RECORDS, owners.append):
        pass
    assert owners == ["another machine"]


def test_who_slept_past_its_lease_writes_nothing(machine, bucket_address, monkeypatch):
    first = created(machine("a"), "team")

    def change():
        with updating(first, RECORDS, nobody):
            add(first, "late")
            store = ObjectStore(bucket_address)
            entry = store.get("locks/records.json")
            store.replace("locks/records.json", entry.data + b" ", entry.version)
            monkeypatch.setattr(lease, "_clock", lambda: float("inf"))

    with pytest.raises(LeaseLostError, match="taken it over"):
        change()
    assert names(opened(machine("b"))) == []


def test_who_takes_a_run_over_closes_its_record(machine, bucket_address):
    first, store = created(machine("a"), "team"), ObjectStore(bucket_address)
    key = f"{RUN}/run.json"
    version = store.create(key, running())
    with updating(first, RUN, nobody), pytest.raises(VersionConflictError):
        store.replace(key, running(), version)
    ended = store.get(key)
    version = store.replace(key, running(Status.COMPLETED), ended.version)
    with updating(first, RUN, nobody):
        assert store.get(key).version == version
