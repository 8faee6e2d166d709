"""A machine's copy of a workspace in an object store: few requests, and content only when something here opens it."""

from pathlib import Path

import pytest
from tests.core.replication.test_copies import WEIGHTS, trained

from trainstack.core.datasets import dataset, dataset_record
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.replication import shared
from trainstack.core.replication.shared import RECORDS, created, opened, updating
from trainstack.core.runs import artifacts, index
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.storage.digest import of_bytes
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import blob_key


@pytest.fixture
def first(machine, tmp_path):
    """The copy of the machine that made a dataset, a run and a model of it."""
    workspace = created(machine("a"), "team")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2,3")
    with updating(workspace, RECORDS, print):
        dataset.register(workspace, DatasetSpec(name="data", paths=(str(tmp_path / "data"),)))
    with updating(workspace, "runs/r1", print):
        trained(workspace, "r1")
    with updating(workspace, RECORDS, print):
        model.register(workspace, ModelSpec(name="net"), Path("outputs/model"), "r1")
    return workspace


def content(workspace):
    """What is here beside records."""
    blobs = [f"blobs/{digest}" for digest in workspace.blobs]
    outputs = [path for path in workspace.root.glob("runs/*/*/**/*") if path.is_file()]
    return blobs + outputs + [path for path in workspace.root.glob("models/*/*/files/**/*") if path.is_file()]


def test_content_comes_when_it_is_opened(first, machine, tmp_path):
    second = opened(machine("b"))
    record = RunDirectory(second.run("r1")).read()
    registered = model.find(second, "net")
    data = dataset_record.find(second, "data")
    assert (record.status, registered.version, data.version) == (Status.COMPLETED, 1, 1)
    # Nothing is gone, only because it is not here.
    assert artifacts.drift(RunDirectory(second.run("r1")), record) == []
    assert model.find_drift(second, registered) == []
    assert dataset.find_drift(second, data).differences == ()
    # Registering what is registered needs no byte of it.
    assert model.register(second, ModelSpec(name="net"), Path("outputs/model"), "r1").version == 1
    assert content(second) == []
    assert artifacts.listing(second.run("r1"), "outputs/") == {"outputs/model/weights": len(WEIGHTS)}
    artifacts.download(second.run("r1"), "outputs/model", tmp_path / "downloads")
    assert (tmp_path / "downloads" / "outputs/model/weights").read_bytes() == WEIGHTS
    dataset_record.lend_into(second, data, tmp_path / "mounted")
    assert (tmp_path / "mounted" / "a.csv").read_bytes() == b"1,2,3"
    model.lay_out(second, registered)
    assert (Path(registered.path) / "weights").read_bytes() == WEIGHTS
    # A model of other files of that run is made of what is fetched for it.
    assert model.register(second, ModelSpec(name="log"), Path("logs/run.txt"), "r1").version == 1


def test_what_is_gone_in_the_store_is_gone(first, machine, bucket_address):
    store = ObjectStore(bucket_address)
    store.delete("runs/r1/outputs/model/weights")
    store.delete(blob_key(of_bytes(b"1,2,3")))
    second = opened(machine("b"))
    run = RunDirectory(second.run("r1"))
    assert artifacts.drift(run, run.read()) == ["outputs/model/weights is gone"]
    assert dataset.find_drift(second, dataset_record.find(second, "data")).differences == (
        "a.csv: the workspace's copy is gone",
    )
    # The model has the same content, from which the run gets its file back, there too.
    with updating(second, "runs/r1", print):
        assert artifacts.restore(run, run.read(), second.blobs) == []
    assert store.get("runs/r1/outputs/model/weights").data == WEIGHTS


def test_a_run_elsewhere_is_seen_as_it_goes_on(first, machine):
    second = opened(machine("b"))
    with updating(second, "runs/r2", print):
        trained(second, "r2", status=Status.FAILED, outputs={})
    machine("a")
    assert {record.id for record in index.newest(opened(machine("a")))} == {"r1", "r2"}
    machine("b")
    with updating(second, "runs/r2", print):
        trained(second, "r2")
    third = opened(machine("a"))
    assert RunDirectory(third.run("r2")).read().status is Status.COMPLETED
    assert index.resolve(third, "fit").id in ("r1", "r2")


def test_a_run_that_is_worked_on_keeps_its_records_whatever_is_pulled(first, machine, bucket_address):
    with updating(first, "runs/r2", print):
        trained(first, "r2", status=Status.RUNNING, outputs={})
    second = opened(machine("b"))
    run = RunDirectory(second.run("r2"))
    # A record that was read before the lease was taken, which changes it.
    assert run.exists()
    with updating(second, "runs/r2", print):
        shared.refreshed(Path(bucket_address))
        assert (run.root / "run.json").is_file()
        run.write(run.read().model_copy(update={"status": Status.FAILED}))
    assert b"failed" in ObjectStore(bucket_address).get("runs/r2/run.json").data
    shared.refreshed(Path(bucket_address))
    assert run.read().status is Status.FAILED


def test_what_a_killed_process_left_is_pushed_or_dropped(first, machine, bucket_address):
    trained(first, "r2", status=Status.FAILED, outputs={})
    with updating(first, "runs/r2", print):
        assert RunDirectory(first.run("r2")).read().status is Status.FAILED
    store = ObjectStore(bucket_address)
    key = "runs/r2/run.json"
    assert b"failed" in store.get(key).data
    # Another machine goes on with the run, and this one has something of its own that it never pushed.
    second = opened(machine("b"))
    with updating(second, "runs/r2", print):
        trained(second, "r2", reason="elsewhere")
    machine("a")
    trained(first, "r2", status=Status.FAILED, reason="here", outputs={})
    with updating(first, "runs/r2", print):
        assert RunDirectory(first.run("r2")).read().reason == "elsewhere"
    assert b"elsewhere" in store.get(key).data


def test_what_is_removed_in_the_store_is_removed_here_and_stays_away(first, machine, bucket_address):
    store = ObjectStore(bucket_address)
    for key in ("models/net/1/model.json", "datasets/data/1.json"):
        store.delete(key)
    machine("a")
    again = opened(Path(bucket_address))
    assert (model.list_models(again), dataset_record.list_datasets(again)) == ([], [])
    with updating(again, RECORDS, print):
        pass
    assert [item.key for folder in ("models", "datasets") for item in store.list(folder)] == []


def test_requests_do_not_grow_with_the_workspace(first, machine, proxy, monkeypatch):
    monkeypatch.setattr(shared, "_RUNS_APART", 4)

    def of(action):
        proxy.requests.clear()
        action()
        return len(proxy.requests)

    def look(name):
        run = RunDirectory(opened(machine(name)).run("r1"))
        assert run.read().status is Status.COMPLETED

    def change():
        with updating(first, RECORDS, print):
            model.register(first, ModelSpec(name="net", description="x"), Path("outputs/model"), "r1")

    machine("a")
    few = (of(lambda: look("b")), of(lambda: look("a")), of(change))
    with updating(first, "sweeps/s", print):
        for number in range(8):
            trained(first, f"more-{number}")
    machine("a")
    many = (of(lambda: look("c")), of(lambda: look("a")), of(change))
    # The list of what counts in the index, and what is new of it.
    assert many[0] <= few[0] + 2
    assert many[1] <= few[1] + 2
    assert many[2] <= few[2]
    assert few[0] <= 14
    assert few[1] <= 9
    assert few[2] <= 20
