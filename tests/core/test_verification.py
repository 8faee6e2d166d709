"""Damage of each kind is found, told with what to do, and what is told does help."""

import os
import shutil
from pathlib import Path

import pytest
from tests.core.sample_runs import WRITTEN

from trainstack.core.datasets import dataset
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.maintenance.fsck import verify
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs import artifacts
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage.atomic import write_json
from trainstack.storage.digest import of_bytes

WEIGHTS = b"weights" * 1000


@pytest.fixture
def workspace(cache, tmp_path):
    return Workspace.create(tmp_path / "workspace", "tests")


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2,3")
    return DatasetSpec(name="data", paths=(str(tmp_path / "data"),))


@pytest.fixture
def run(workspace):
    directory = RunDirectory(workspace.run("r1"))
    (directory.outputs / "model").mkdir(parents=True)
    (directory.outputs / "model" / "weights").write_bytes(WEIGHTS)
    code = workspace.blobs.partial("code")
    code.write_bytes(b"code")
    workspace.blobs.adopt(code, of_bytes(b"code"))
    run_spec = {"script": "t.py", "files": {"t.py": of_bytes(b"code")}, "environment": {"digest": "e" * 64}}
    write_json(
        directory.root / "spec.json",
        {"name": "fit", "spec": run_spec, **WRITTEN},
    )
    facts = {"name": "fit", "status": Status.COMPLETED, "created": 1.0, "updated": 1.0, "attempt": 1}
    directory.write(RunRecord(id="r1", outputs={"model/weights": of_bytes(WEIGHTS)}, **facts))
    return directory


@pytest.fixture
def registered(workspace, run):
    return model.register(workspace, ModelSpec(name="net"), Path("outputs/model"), "r1")


def rot(path):
    """Change a byte as a bad disk does: nothing that `stat` says moves."""
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def found(workspace):
    return [(damage.kind, damage.name, damage.problem) for damage in verify(workspace).damages]


def test_a_whole_workspace_is_read_once_and_has_no_damage(workspace, spec, registered):
    dataset.register(workspace, spec)
    told = []
    seen = verify(workspace, lambda done, total: told.append((done, total)))
    assert seen.damages == []
    # The model's file is the blob's; the run's output is a file of its own.
    assert seen.size == 5 + 4 + 2 * len(WEIGHTS)
    assert told[-1] == (seen.size, seen.size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_rotten_blob_is_found_and_registering_mends_it(workspace, spec):
    record = dataset.register(workspace, spec)
    rot(workspace.blobs.path(record.files[0].sha256))
    assert dataset.find_drift(workspace, record).differences == ()
    assert found(workspace) == [
        ("blob", record.files[0].sha256, "changed"),
        ("dataset", "data version 1: a.csv", "changed"),
    ]
    assert len(dataset.find_drift(workspace, record).differences) == 1
    assert dataset.register(workspace, spec) == record
    assert found(workspace) == []


def test_a_missing_blob_shows_at_its_dataset_and_run(workspace, spec, run):
    record = dataset.register(workspace, spec)
    workspace.blobs.path(record.files[0].sha256).unlink()
    workspace.blobs.path(of_bytes(b"code")).unlink()
    assert found(workspace) == [
        ("dataset", "data version 1: a.csv", "gone"),
        ("run", "fit (r1): code/t.py", "gone"),
    ]


def test_a_models_files_are_found_changed_gone_and_added(workspace, registered):
    folder = Path(registered.path)
    (folder / "weights").unlink()
    (folder / "more").write_text("1")
    assert found(workspace) == [("model", "net version 1: weights", "gone"), ("model", "net version 1: more", "added")]
    model.restore(workspace, registered)
    assert found(workspace) == []
    (folder / "weights").unlink()
    (folder / "weights").write_bytes(b"other")
    assert found(workspace) == [("model", "net version 1: weights", "changed")]


def test_a_model_whose_blob_rots_with_it_is_mended_from_its_run(workspace, registered):
    rot(Path(registered.path) / "weights")
    damages = verify(workspace).damages
    assert [(it.kind, it.problem) for it in damages] == [("blob", "changed"), ("model", "changed")]
    assert damages[1].advice == "`pulumi refresh`, then `pulumi up`, puts it back"
    model.restore(workspace, registered)
    assert verify(workspace).damages == []


def test_a_model_of_which_no_whole_copy_is_left_says_so(workspace, registered, run):
    rot(Path(registered.path) / "weights")
    rot(run.outputs / "model" / "weights")
    damages = verify(workspace).damages
    assert [it.kind for it in damages] == ["blob", "model", "run"]
    assert "no whole copy is left" in damages[1].advice
    assert "purge --model net:1" in damages[1].advice
    assert "no whole copy is left" in damages[2].advice
    with pytest.raises(TrainstackError, match="damaged too"):
        model.restore(workspace, registered)


def test_an_output_that_is_gone_comes_back_from_the_models_blob(workspace, registered, run):
    shutil.rmtree(run.outputs / "model")
    [damage] = verify(workspace).damages
    assert (damage.kind, damage.problem) == ("run", "gone")
    assert damage.advice == "`pulumi refresh` and `pulumi up` put it back"
    assert artifacts.restore(run, run.read(), workspace.blobs) == []
    assert verify(workspace).damages == []


@pytest.mark.parametrize(
    "record", ["datasets/data/1.json", "models/net/1/model.json", "runs/r1/run.json", "runs/r1/spec.json"]
)
def test_a_damaged_record_is_reported_and_the_rest_read(workspace, spec, registered, record):
    dataset.register(workspace, spec)
    (workspace.root / record).write_text('{"half')
    [damage] = verify(workspace).damages
    assert (damage.kind, damage.path) == ("record", workspace.root / record)
    assert "damaged" in damage.problem
    assert damage.advice
