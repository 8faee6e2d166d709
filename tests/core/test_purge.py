"""Purging takes what is named and nothing that is needed; a purge that is killed can be called again."""

import contextlib
import os
import threading
from pathlib import Path

import pytest
from tests.core.sample_runs import WRITTEN

from trainstack.core.datasets import dataset
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.maintenance import gc, purge
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.index import resolve
from trainstack.core.services.record import ServiceRecord, write_record
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InUseError, NotFoundError
from trainstack.storage import locks
from trainstack.storage.atomic import write_json


@pytest.fixture
def workspace(cache, tmp_path):
    return Workspace.create(tmp_path / "workspace", "tests")


@pytest.fixture
def a_run(workspace):
    def make(run_id="r1", datasets=None):
        directory = RunDirectory(workspace.run(run_id))
        (directory.outputs / "model").mkdir(parents=True)
        (directory.outputs / "model" / "weights").write_bytes(b"123456789")
        spec = {"script": "t.py", "files": {}, "environment": {"digest": "e" * 64}}
        asked = {"name": "fit", "spec": spec, **WRITTEN, "datasets": datasets or {}}
        write_json(directory.root / "spec.json", asked)
        facts = {"name": "fit", "status": Status.COMPLETED, "created": 1.0, "updated": 1.0, "attempt": 1}
        directory.write(RunRecord(id=run_id, **facts))
        return directory

    return make


@pytest.fixture
def a_model(workspace, tmp_path):
    def make(content):
        (tmp_path / "net").mkdir(exist_ok=True)
        (tmp_path / "net" / "weights").write_bytes(content)
        return model.register(workspace, ModelSpec(name="net"), tmp_path / "net")

    return make


@pytest.fixture
def a_dataset(workspace, tmp_path):
    def make(content):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "a.csv").write_bytes(content)
        return dataset.register(workspace, DatasetSpec(name="data", paths=(str(tmp_path / "data"),)))

    return make


def test_a_run_goes_whole(workspace, a_run):
    directory = a_run()
    [victim] = purge.run(workspace, directory)
    assert victim.size > 9
    purge.purge(workspace, [victim])
    assert not directory.root.exists()
    assert list(workspace.trash.iterdir()) == []
    with pytest.raises(NotFoundError):
        resolve(workspace, "r1")
    with pytest.raises(NotFoundError, match="gone already"):
        purge.purge(workspace, [victim])


def test_a_run_that_is_driven_is_refused(workspace, a_run):
    directory = a_run()
    with directory.lock() as mine:
        assert mine
        with pytest.raises(InUseError, match=r"run r1 is needed: it is running, `trainstack runs stop r1` ends it"):
            purge.purge(workspace, purge.run(workspace, directory))
    assert directory.exists()


def test_a_run_stays_until_its_model_is_purged(workspace, a_run):
    directory = a_run()
    model.register(workspace, ModelSpec(name="net"), Path("outputs/model"), "r1")
    with pytest.raises(InUseError, match="model net version 1 was made by it"):
        purge.purge(workspace, purge.run(workspace, directory))
    purge.purge(workspace, purge.models(workspace, "net"))
    purge.purge(workspace, purge.run(workspace, directory))
    assert not directory.root.exists()


def test_a_purged_model_version_is_never_reused(workspace, a_model):
    a_model(b"one")
    a_model(b"two")
    purge.purge(workspace, purge.models(workspace, "net", 2))
    assert [record.version for record in model.list_models(workspace)] == [1]
    assert a_model(b"three").version == 3
    assert len(gc.collect(workspace)) == 1
    purge.purge(workspace, purge.models(workspace, "net"))
    assert model.list_models(workspace) == []
    assert a_model(b"three").version == 4


@pytest.mark.parametrize(("status", "refused"), [("running", True), ("starting", True), ("stopped", False)])
def test_a_model_that_a_service_is_to_serve_is_refused(workspace, a_model, status, refused):
    record = a_model(b"one")
    service = {"host": "127.0.0.1", "port": 9, "scoring_uri": "", "python": "/none", "status": status}
    served = {"model_name": "net", "model_version": 1, "model_digest": record.digest}
    folder = workspace.service("svc")
    folder.mkdir(parents=True)
    write_record(ServiceRecord(name="svc", folder=str(folder), **service, **served))
    expected = pytest.raises(InUseError, match="service svc serves it") if refused else contextlib.nullcontext()
    with expected:
        purge.purge(workspace, purge.models(workspace, "net"))
    assert Path(record.path).exists() is refused


def test_a_purged_dataset_version_is_never_reused(workspace, a_dataset):
    a_dataset(b"one")
    a_dataset(b"two")
    purge.purge(workspace, purge.datasets(workspace, "data"))
    assert dataset.list_datasets(workspace) == []
    assert a_dataset(b"one").version == 3


def test_a_dataset_in_use_by_a_run_is_not_purged(workspace, a_dataset, a_run):
    a_dataset(b"one")
    a_dataset(b"two")
    directory = a_run(datasets={"numbers": {"name": "data", "version": 2, "mode": "mount"}})
    with pytest.raises(InUseError, match=r"dataset data version 2 is needed: run r1 \(fit\) trains on it"):
        purge.purge(workspace, purge.datasets(workspace, "data"))
    assert [record.version for record in dataset.list_datasets(workspace)] == [1, 2]
    purge.purge(workspace, purge.datasets(workspace, "data", 1))
    purge.purge(workspace, purge.run(workspace, directory))
    purge.purge(workspace, purge.datasets(workspace, "data", 2))
    assert dataset.list_datasets(workspace) == []


def test_what_there_is_not_is_one_line(workspace, a_model):
    a_model(b"one")
    with pytest.raises(NotFoundError, match="no version 7"):
        purge.models(workspace, "net", 7)
    with pytest.raises(NotFoundError, match="no dataset 'none'"):
        purge.datasets(workspace, "none")


def test_a_purge_waits_for_registrations_under_way(workspace, a_model):
    a_model(b"one")
    told = []
    with locks.shared(workspace.records_lock):
        victims = purge.models(workspace, "net")
        purging = threading.Thread(target=purge.purge, args=(workspace, victims, told.append))
        purging.start()
        purging.join(0.3)
        assert purging.is_alive()
        assert len(model.list_models(workspace)) == 1
    purging.join(10)
    assert told == ["waiting for registrations under way"]
    assert model.list_models(workspace) == []


def test_a_killed_purge_leaves_all_or_nothing(workspace, a_run):
    directory = a_run()
    pid = os.fork()
    if pid == 0:
        purge.remove = lambda _: os._exit(9)
        purge.purge(workspace, purge.run(workspace, directory))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert not directory.root.exists()
    assert [one.kind for one in gc.collect(workspace)] == ["trash"]
    assert list(workspace.trash.iterdir()) == []
    with locks.exclusive(workspace.records_lock, lambda: pytest.fail("it is still held")):
        pass
