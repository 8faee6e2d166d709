"""Adopting what a workspace has: found in check, whole or repaired, never made."""

import shutil
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN
from tests.core.sample_runs import WRITTEN

from trainstack.core.datasets import dataset
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.provider.adopted import AdoptedDatasetProvider, AdoptedModelProvider
from trainstack.provider.adopted_run import AdoptedRunProvider
from trainstack.storage.atomic import write_json
from trainstack.storage.digest import of_bytes


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture
def a_dataset(workspace, tmp_path):
    def make(content):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "a.csv").write_text(content)
        return dataset.register(workspace, DatasetSpec(name="data", paths=(str(tmp_path / "data"),)))

    return make


@pytest.fixture
def a_model(workspace, tmp_path):
    def make(content):
        (tmp_path / "net").mkdir(exist_ok=True)
        (tmp_path / "net" / "weights").write_text(content)
        return model.register(workspace, ModelSpec(name="net"), tmp_path / "net")

    return make


@pytest.fixture
def a_run(workspace):
    def make(run_id, status=Status.COMPLETED, created=1.0, name="fit"):
        directory = RunDirectory(workspace.run(run_id))
        directory.outputs.mkdir(parents=True)
        (directory.outputs / "weights").write_bytes(b"1")
        spec = {"script": "t.py", "files": {}, "environment": {"digest": "e" * 64}}
        write_json(directory.root / "spec.json", {"name": name, "spec": spec, **WRITTEN})
        facts = {"name": name, "status": status, "created": created, "updated": created, "attempt": 1}
        outputs = {"weights": of_bytes(b"1")}
        directory.write(RunRecord(id=run_id, outputs=outputs, metrics={"accuracy": 0.5}, duration=3.0, **facts))
        return directory

    return make


def adopted(provider, inputs) -> tuple[str, dict[str, Any]]:
    result = provider.check({}, inputs)
    assert [failure.reason for failure in result.failures] == []
    created = provider.create(result.inputs)
    assert created.outs is not None
    assert provider.diff(created.id, created.outs, provider.check(created.outs, inputs).inputs).changes is False
    return created.id, created.outs


def checked(provider, olds, inputs) -> dict[str, Any]:
    news = provider.check(olds, inputs).inputs
    assert news is not None
    return news


def updated(provider, id_, olds, news) -> dict[str, Any]:
    outs = provider.update(id_, olds, news).outs
    assert outs is not None
    return outs


def refreshed(provider, id_, state) -> dict[str, Any]:
    outs = provider.read(id_, state).outs
    assert outs is not None
    return outs


def refused(provider, inputs):
    [failure] = provider.check({}, inputs).failures
    assert "\n" not in failure.reason
    return failure.reason


def test_dataset_is_adopted_by_version_or_newest(a_dataset, tmp_path):
    first, second = a_dataset("1"), a_dataset("2")
    shutil.rmtree(tmp_path / "data")
    inputs = {"workspace": "ws", "name": "data"}
    _, newest = adopted(AdoptedDatasetProvider(), inputs)
    assert (newest["version"], newest["digest"], newest["size"]) == (2, second.digest, 1)
    _, wanted = adopted(AdoptedDatasetProvider(), {**inputs, "version_or_id": 1.0})
    assert (wanted["version"], wanted["digest"]) == (1, first.digest)
    assert wanted["files"] == {"a.csv": of_bytes(b"1")}


def test_newer_version_is_adopted_in_place(a_dataset):
    a_dataset("1")
    provider, inputs = AdoptedDatasetProvider(), {"workspace": "ws", "name": "data"}
    id_, state = adopted(provider, inputs)
    a_dataset("2")
    news = checked(provider, state, inputs)
    difference = provider.diff(id_, state, news)
    assert (difference.changes, difference.replaces) == (True, [])
    assert updated(provider, id_, state, news)["version"] == 2


@pytest.mark.parametrize("provider", [AdoptedDatasetProvider(), AdoptedModelProvider(), AdoptedRunProvider()])
def test_what_is_not_there_fails_in_check(workspace, a_dataset, provider):
    a_dataset("1")
    assert "'none'" in refused(provider, {"workspace": "ws", "name": "none"})
    assert "no workspace at" in refused(provider, {"workspace": "elsewhere", "name": "data"})
    unknown = {"workspace": UNKNOWN, "name": "none"}
    assert provider.check({}, unknown).failures == []


def test_a_version_that_is_not_there_names_those_that_are(a_dataset, a_model):
    a_dataset("1")
    a_model("1")
    assert "has no version 7: it has 1" in refused(
        AdoptedDatasetProvider(), {"workspace": "ws", "name": "data", "version_or_id": 7.0}
    )
    assert "has no version 7: there is 1" in refused(
        AdoptedModelProvider(), {"workspace": "ws", "name": "net", "version_or_id": 7.0}
    )


def test_a_dataset_that_lost_a_file_has_drifted(workspace, a_dataset):
    record = a_dataset("1")
    provider = AdoptedDatasetProvider()
    id_, state = adopted(provider, {"workspace": "ws", "name": "data"})
    workspace.blobs.path(record.files[0].sha256).unlink()
    assert refreshed(provider, id_, state)["drift"] == ["a.csv is gone or damaged"]


def test_a_model_is_adopted_repaired_and_gone(workspace, a_model, tmp_path):
    record = a_model("1")
    shutil.rmtree(tmp_path / "net")
    provider, inputs = AdoptedModelProvider(), {"workspace": "ws", "name": "net"}
    id_, state = adopted(provider, inputs)
    assert (state["version"], state["digest"], state["directory"]) == (1, record.digest, "ws/models/net/1/files")
    (workspace.model("net") / "1" / "files" / "weights").unlink()
    drifted = refreshed(provider, id_, state)
    assert drifted["drift"] == ["weights: gone"]
    news = checked(provider, drifted, inputs)
    assert provider.diff(id_, drifted, news).changes is True
    assert updated(provider, id_, drifted, news)["drift"] == []
    shutil.rmtree(workspace.model("net"))
    assert provider.read(id_, state).id == ""


def test_the_newest_completed_run_of_a_name_is_adopted(a_run):
    a_run("aa11", created=1.0)
    a_run("bb22", created=2.0)
    a_run("cc33", created=3.0, status=Status.FAILED)
    inputs = {"workspace": "ws", "name": "fit"}
    id_, state = adopted(AdoptedRunProvider(), inputs)
    assert (id_, state["run_id"], state["status"], state["outcome"]) == ("bb22", "bb22", "completed", "adopted")
    assert (state["metrics"], state["directory"]) == ({"accuracy": 0.5}, "ws/runs/bb22")
    id_, _ = adopted(AdoptedRunProvider(), {**inputs, "name": "other", "version_or_id": "aa"})
    assert id_ == "aa11"
    assert "cc33 is failed, not completed" in refused(AdoptedRunProvider(), {**inputs, "version_or_id": "cc33"})


def test_another_run_replaces_and_a_lost_output_is_drift(a_run):
    directory = a_run("aa11")
    provider, inputs = AdoptedRunProvider(), {"workspace": "ws", "name": "fit"}
    id_, state = adopted(provider, inputs)
    (directory.outputs / "weights").unlink()
    assert refreshed(provider, id_, state)["drift"] == ["outputs/weights is gone"]
    a_run("bb22", created=2.0)
    news = checked(provider, state, inputs)
    assert provider.diff(id_, state, news).replaces == ["run_id"]
