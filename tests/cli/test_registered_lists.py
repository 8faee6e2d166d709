"""`datasets list`, `models list`, `services list`, `computes list`: what a workspace holds."""

import json

import pytest

from trainstack.core.compute import compute
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.datasets import dataset
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.services import service
from trainstack.core.services.record import write_record
from trainstack.core.services.service import ServiceRecord, ServiceSpec


@pytest.mark.parametrize("kind", ["datasets", "models", "services", "computes"])
def test_an_empty_workspace_is_an_empty_list_in_json(workspace, cli, json_output, kind):
    result = cli(kind, "list")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"workspace tests has no {kind} yet: `pulumi up` ")
    assert json_output(kind, "list") == []


def test_every_version_of_a_dataset_is_listed(workspace, cli, json_output, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    table = tmp_path / "table.csv"
    spec = DatasetSpec(name="table", paths=(str(table),), description="[b]a table", tags={"team": "vision"})
    for content in ("1,2", "1,2,3"):
        table.write_text(content)
        dataset.register(workspace, spec)
    first, second = json_output("datasets", "list")
    assert (first["name"], first["version"], first["bytes"], second["version"], second["bytes"]) == (
        "table",
        1,
        3,
        2,
        5,
    )
    assert first["digest"] != second["digest"]
    assert list(second["files"]) == ["table.csv"]
    lines = cli("datasets", "list").stdout.splitlines()
    assert len(lines) == 3
    assert lines[2].split()[:5] == ["table", "2", "1", "5", "bytes"]
    assert lines[2].endswith("[b]a table   team=vision")


@pytest.fixture
def registered(workspace, tmp_path):
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").write_bytes(b"graph")
    return model.register(workspace, ModelSpec(name="tf-dnn", framework_version="2.15.1", tags={"a": "b"}), saved)


def test_models_are_listed_with_version_framework_and_digest(registered, cli, json_output):
    (listed,) = json_output("models", "list")
    assert (listed["name"], listed["version"], listed["digest"]) == ("tf-dnn", 1, registered.digest)
    assert (listed["path"], listed["tags"]) == (registered.path, {"a": "b"})
    line = cli("models", "list").stdout.splitlines()[1]
    assert line.startswith("tf-dnn  1        TensorFlow 2.15.1")
    assert registered.digest[:12] in line


@pytest.fixture
def recorded(workspace, registered):
    def record(name, status):
        write_record(
            ServiceRecord(
                name=name,
                model_name=registered.name,
                model_version=registered.version,
                model_digest=registered.digest,
                host="127.0.0.1",
                port=9,
                scoring_uri="http://127.0.0.1:9/v1/models/tf-dnn:predict",
                status=status,
                python="/python",
                folder=str(workspace.service(name)),
            )
        )

    return record


def test_a_stopped_service_differs_from_one_that_is_down(recorded, cli, json_output):
    recorded("asleep", "stopped")
    recorded("dead", "running")
    assert [(entry["name"], entry["state"]) for entry in json_output("services", "list")] == [
        ("asleep", "stopped"),
        ("dead", "down"),
    ]
    text = cli("services", "list").stdout
    assert "http://127.0.0.1:9/v1/models/tf-dnn:predict" in text
    assert "tf-dnn version 1" in text


@pytest.mark.tensorflow
def test_a_real_service_is_healthy_while_it_answers(workspace, json_output, cli, serving_python, zoo):
    served = model.register(workspace, ModelSpec(name="zoo", framework_version="2.15.1"), zoo)
    record = service.start(workspace, ServiceSpec(name="zoo"), served, serving_python)
    try:
        (listed,) = json_output("services", "list")
        assert (listed["state"], listed["scoring_uri"]) == ("healthy", record.scoring_uri)
        checks = json.loads(cli("doctor", "--json").stdout)["checks"]
        assert {"name": "services", "state": "ok", "found": "1 healthy", "advice": ""} in checks
    finally:
        service.stop(workspace, "zoo")
    (listed,) = json_output("services", "list")
    assert listed["state"] == "stopped"


def test_computes_are_listed_with_their_busy_nodes(workspace, cli, json_output):
    spec = ComputeSpec(name="cpu", max_nodes=2, priority="low")
    compute.ensure(workspace, spec)
    assert [(entry["name"], entry["max_nodes"], entry["busy_nodes"]) for entry in json_output("computes", "list")] == [
        ("cpu", 2, 0)
    ]
    with compute.slots(workspace, spec, 1, lambda _: None, lambda: False):
        assert json_output("computes", "list")[0]["busy_nodes"] == 1
        assert cli("computes", "list").stdout.splitlines()[1].split() == [
            "cpu",
            "local",
            "-",
            "0",
            "to",
            "2",
            "1",
            "low",
        ]
    assert json_output("computes", "list")[0]["busy_nodes"] == 0


def test_a_damaged_record_is_one_line_that_names_it(workspace, cli):
    record = workspace.compute("cpu") / "compute.json"
    record.parent.mkdir(parents=True)
    for content in ('{"name": 1}', "{"):
        record.write_text(content)
        result = cli("computes", "list")
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert f"{record} is damaged" in result.stderr
