"""A run's fields are described once: arguments, inputs, fingerprint, diff, reports and documentation follow."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.core.sample_runs import WRITTEN

from tools import run_fields as tables
from trainstack.cli.runs import runs
from trainstack.cli.runs.run_report import detail
from trainstack.components import training_run
from trainstack.components.training_run import TrainingRunArgs, run_inputs
from trainstack.core.runs import diff
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.fields import COUNTED, SETTINGS, RunSpec
from trainstack.core.runs.request import RunRequest
from trainstack.core.runs.run_field import JSON_ALONE, run_fields
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.atomic import write_json

GOLDEN = json.loads((Path(__file__).parent / "golden" / "fingerprints.json").read_text(encoding="utf-8"))
ALL = {**COUNTED, **run_fields(RunRequest)}
INPUTS = {
    "script": "train.py",
    "files": {"train.py": "a" * 64},
    "environment": {"digest": "e" * 64, "python": "3.11", "packages": {"six": "1"}, "variables": {}},
}
# Of each field that counts, an input that is not its default: a new field needs one here.
OTHERS = {
    "script": "net.py",
    "module": "package.train",
    "files": {"train.py": "b" * 64},
    "executables": ["train.py"],
    "arguments": {"--lr": "0.1"},
    "datasets": {"mnist": {"name": "mnist", "version": 1, "digest": "d" * 64, "mode": "mount"}},
    "environment": {"digest": "f" * 64, "python": "3.12", "packages": {"six": "1"}, "variables": {}},
    "environment_variables": {"SEED": "1"},
    "secret_variables": {"TOKEN": "sesame"},
    "distribution": {"kind": "horovod", "node_count": 2},
    "trigger": "again",
}


@pytest.mark.parametrize("case", GOLDEN.values(), ids=list(GOLDEN))
def test_fingerprints_are_the_written_ones(case):
    assert RunSpec.from_inputs(case["inputs"]).fingerprint == case["fingerprint"]


def test_each_argument_is_a_field_and_each_field_an_argument():
    arguments = {field.name for field in dataclasses.fields(TrainingRunArgs)}
    assert arguments == {argument for name, field in ALL.items() for argument in field.arguments or (name,)}


def test_each_field_of_the_models_is_described():
    assert set(RunSpec.model_fields) == set(COUNTED)
    assert set(RunRequest.model_fields) - set(run_fields(RunRequest)) == {
        # What the run is, and what people and machines know it by.
        *("spec", "name", "tags"),
        # Where the environment's packages are, once they are made.
        "runtime",
        # What the fields of the same name in the spec came from.
        *("environment", "datasets", "registry"),
    }


def test_each_field_is_an_input(monkeypatch):
    monkeypatch.setattr(training_run, "portable_path", lambda path: path)
    # A component is known by its class's name; a real one would need Pulumi's mocks.
    compute = type("Compute", (SimpleNamespace,), {})(
        spec={"name": "c"}, workspace=SimpleNamespace(root=".", images={})
    )
    environment = type("Environment", (SimpleNamespace,), {})(spec={"name": "e"})
    args = TrainingRunArgs(source_directory=".", script="t.py", compute=compute, environment=environment)  # type: ignore[arg-type]
    # The provider digests the files.
    assert set(ALL) - {"files", "executables"} <= run_inputs("r", args).keys()


def test_each_field_that_counts_has_another_value_here():
    assert OTHERS.keys() == COUNTED.keys()


@pytest.mark.parametrize("name", COUNTED)
def test_each_field_that_counts_names_another_run(name):
    spec, other = RunSpec.from_inputs(INPUTS), RunSpec.from_inputs({**INPUTS, name: OTHERS[name]})
    assert spec.fingerprint != other.fingerprint
    assert name in other.parts


@pytest.mark.parametrize("name", COUNTED)
def test_each_field_that_counts_is_in_the_reason_line(name):
    before, after = (diff.comparable(inputs, "?") for inputs in (INPUTS, {**INPUTS, name: OTHERS[name]}))
    assert diff.changes(before, after)[name]


def test_a_field_at_its_default_adds_nothing():
    bare = RunSpec.from_inputs(INPUTS)
    assert set(bare.parts) == {"script", "files", "environment"}
    optional = {name: info for name, info in RunSpec.model_fields.items() if not info.is_required()}
    defaults = {name: info.default for name, info in optional.items() if name not in INPUTS}
    assert RunSpec.from_inputs({**INPUTS, **defaults}).fingerprint == bare.fingerprint


@pytest.fixture
def report(tmp_path):
    workspace = Workspace.create(tmp_path / "ws", "ws")
    spec = RunSpec.from_inputs({**INPUTS, **OTHERS})
    directory = RunDirectory(workspace.run(spec.run_id))
    request = {"name": "r", **WRITTEN, "spec": spec.model_dump(mode="json"), "timeout": 60}
    write_json(directory.root / "spec.json", request)
    directory.write(RunRecord(id=directory.id, name="r", status=Status.COMPLETED, created=1, updated=2))
    return detail(directory, directory.read(), str(directory.root))


def test_each_field_is_in_the_json_report(report):
    assert {field.key or name for name, field in ALL.items()} <= report.keys()


def test_each_field_is_shown_to_people(report, capsys):
    runs._print(report)
    printed = capsys.readouterr().out
    for field in ALL.values():
        assert field.show == JSON_ALONE or field.label in printed or field.show in printed


def test_settings_do_not_count():
    assert not set(SETTINGS) & set(COUNTED)


def test_the_tables_in_the_documentation_are_up_to_date():
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.written(page), "run `make tables`"
