import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage import digest as digests

SPEC = ModelSpec(name="mnist", framework_version="2.15.1", tags={"team": "vision"})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "data").write_bytes(b"weights")
    return folder


@pytest.fixture
def run(workspace: Workspace) -> Path:
    outputs = workspace.run("r1") / "outputs" / "model"
    outputs.mkdir(parents=True)
    (outputs / "saved_model.pb").write_bytes(b"graph")
    (outputs.parent / "metrics.json").write_bytes(b"{}")
    return workspace.run("r1")


def test_first_registration_is_version_1(workspace: Workspace, source: Path):
    record = model.register(workspace, SPEC, source, run_id=None)
    assert (record.name, record.version, record.framework, record.framework_version) == (
        "mnist",
        1,
        "TensorFlow",
        "2.15.1",
    )
    assert (Path(record.path) / "variables" / "data").read_bytes() == b"weights"
    assert record.files == {
        "saved_model.pb": digests.of_bytes(b"graph"),
        "variables/data": digests.of_bytes(b"weights"),
    }
    assert record.digest == model.source_digest(source) == model.source_digest(Path(record.path))
    assert model.find(workspace, "mnist") == record


def test_files_are_hard_links_to_blobs_and_the_source_stays(workspace: Workspace, source: Path):
    record = model.register(workspace, SPEC, source)
    for relative, digest in record.files.items():
        assert (Path(record.path) / relative).samefile(workspace.blobs.path(digest))
        assert not (Path(record.path) / relative).samefile(source / relative)
    assert (source / "saved_model.pb").read_bytes() == b"graph"


def test_unchanged_files_make_no_new_version(workspace: Workspace, source: Path):
    first = model.register(workspace, SPEC, source)
    os.utime(source / "saved_model.pb")
    assert model.register(workspace, SPEC, source) == first
    assert len(model.list_models(workspace)) == 1


def test_new_description_updates_the_latest_version(workspace: Workspace, source: Path, run: Path):
    model.register(workspace, SPEC, source)
    described = SPEC.model_copy(update={"description": "digits", "tags": {}, "sample_input": [[0.5]]})
    record = model.register(workspace, described, source)
    assert (record.version, record.description, record.tags, record.sample_input) == (1, "digits", {}, [[0.5]])
    assert model.find(workspace, "mnist") == record


def test_changed_added_and_renamed_files_make_a_new_version(workspace: Workspace, source: Path):
    model.register(workspace, SPEC, source)
    (source / "variables" / "data").write_bytes(b"more weights")
    assert model.register(workspace, SPEC, source).version == 2
    (source / "fingerprint.pb").write_bytes(b"")
    assert model.register(workspace, SPEC, source).version == 3
    (source / "fingerprint.pb").rename(source / "print.pb")
    assert model.register(workspace, SPEC, source).version == 4


def test_a_version_never_changes_when_later_ones_come(workspace: Workspace, source: Path):
    first = model.register(workspace, SPEC, source)
    (source / "variables" / "data").write_bytes(b"more weights")
    model.register(workspace, SPEC.model_copy(update={"description": "later"}), source)
    assert model.find(workspace, "mnist", 1) == first
    assert model.find_drift(workspace, first) == []


def test_files_of_an_older_version_make_a_new_one(workspace: Workspace, source: Path):
    model.register(workspace, SPEC, source)
    (source / "variables" / "data").write_bytes(b"more weights")
    model.register(workspace, SPEC, source)
    (source / "variables" / "data").write_bytes(b"weights")
    back = model.register(workspace, SPEC, source)
    assert back.version == 3
    assert back.digest == model.find(workspace, "mnist", 1).digest


def test_a_single_file_is_a_model(workspace: Workspace, source: Path):
    record = model.register(workspace, SPEC, source / "saved_model.pb")
    assert record.files == {"saved_model.pb": digests.of_bytes(b"graph")}
    assert record.digest == model.source_digest(source / "saved_model.pb")


def test_a_run_names_its_model_by_a_path_in_its_directory(workspace: Workspace, run: Path):
    record = model.register(workspace, SPEC, Path("outputs/model"), run_id="r1")
    assert record.run_id == "r1"
    assert list(record.files) == ["saved_model.pb"]


def test_a_missing_path_lists_what_the_run_left(workspace: Workspace, run: Path):
    with pytest.raises(NotFoundError) as error:
        model.register(workspace, SPEC, Path("outputs/modle"), run_id="r1")
    assert str(error.value) == (
        "run r1 left nothing at 'outputs/modle': its outputs are outputs/metrics.json, outputs/model/saved_model.pb"
    )


def test_a_long_list_of_outputs_is_cut_to_one_line(workspace: Workspace, run: Path):
    for number in range(30):
        (run / "outputs" / f"epoch-{number:02}").write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"and 22 more$"):
        model.register(workspace, SPEC, Path("outputs/none"), run_id="r1")


@pytest.mark.parametrize("path", ["outputs/../../r2/outputs", "..", "/etc/hostname", "outputs/out", ".", ""])
def test_a_path_out_of_the_run_is_refused(workspace: Workspace, run: Path, path: str):
    (workspace.run("r2") / "outputs").mkdir(parents=True)
    (run / "outputs" / "out").symlink_to("/etc")
    with pytest.raises(InvalidInputError):
        model.register(workspace, SPEC, Path(path), run_id="r1")
    assert model.list_models(workspace) == []


@pytest.mark.parametrize("target", ["/etc/hostname", "../metrics.json", "nowhere", "."])
def test_link_out_of_the_model_is_refused(workspace: Workspace, run: Path, target: str):
    (run / "outputs" / "model" / "link").symlink_to(target)
    with pytest.raises(InvalidInputError, match="link"):
        model.register(workspace, SPEC, Path("outputs/model"), run_id="r1")


def test_a_name_that_is_not_utf8_is_refused(workspace: Workspace, source: Path):
    (source / os.fsdecode(b"caf\xe9")).touch()
    with pytest.raises(InvalidInputError, match=r"caf\\xe9 in the model .* has a name that is not UTF-8: rename it"):
        model.register(workspace, SPEC, source)


def test_a_link_to_a_file_of_the_same_model_is_that_file(workspace: Workspace, source: Path):
    (source / "same.pb").symlink_to("saved_model.pb")
    record = model.register(workspace, SPEC, source)
    assert record.files["same.pb"] == record.files["saved_model.pb"]


def test_an_empty_folder_and_a_pipe_are_no_model(workspace: Workspace, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="holds no file"):
        model.register(workspace, SPEC, tmp_path / "empty")
    os.mkfifo(tmp_path / "empty" / "pipe")
    with pytest.raises(InvalidInputError, match=r"pipe in the model .* is neither file nor folder"):
        model.register(workspace, SPEC, tmp_path / "empty")


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "a b"])
def test_a_name_that_cannot_be_a_folder_is_refused(workspace: Workspace, source: Path, name: str):
    with pytest.raises(InvalidInputError, match="model name"):
        model.register(workspace, SPEC.model_copy(update={"name": name}), source)


def test_what_is_not_there_is_answered_with_what_is(workspace: Workspace, source: Path):
    with pytest.raises(NotFoundError, match="there is none"):
        model.find(workspace, "mnist")
    model.register(workspace, SPEC, source)
    with pytest.raises(NotFoundError, match=r"no model 'other' .*there is mnist"):
        model.find(workspace, "other")
    with pytest.raises(NotFoundError, match="has no version 7: there is 1"):
        model.find(workspace, "mnist", 7)


def test_drift_names_each_file_and_restore_puts_them_back(workspace: Workspace, source: Path):
    record = model.register(workspace, SPEC, source)
    graph, data = (Path(record.path) / name for name in ("saved_model.pb", "variables/data"))
    graph.unlink()
    data.unlink()
    data.write_bytes(b"forged")
    (data.parent / "extra").write_bytes(b"")
    assert model.find_drift(workspace, record) == [
        "saved_model.pb: gone",
        "variables/data: changed",
        "variables/extra: added",
    ]
    model.restore(workspace, record)
    assert model.find_drift(workspace, record) == []
    assert data.read_bytes() == b"weights"


def test_overwritten_blob_is_repaired_by_registering(workspace: Workspace, source: Path):
    record = model.register(workspace, SPEC, source)
    graph = Path(record.path) / "saved_model.pb"
    graph.chmod(0o644)
    graph.write_bytes(b"forged")
    assert model.find_drift(workspace, record) == ["saved_model.pb: changed"]
    with pytest.raises(TrainstackError, match="is damaged too: register the model again"):
        model.restore(workspace, record)
    (source / "new").write_bytes(b"")
    later = model.register(workspace, SPEC, source)
    assert model.find_drift(workspace, later) == []
    model.restore(workspace, record)
    assert graph.read_bytes() == b"graph"


def test_versions_are_counted_by_one_registration_at_a_time(workspace: Workspace, tmp_path: Path):
    folders = [tmp_path / f"model-{number}" for number in range(6)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"%d" % number)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        records = pool.starmap(model.register, [(workspace, SPEC, folder) for folder in folders])
    assert sorted(record.version for record in records) == [1, 2, 3, 4, 5, 6]
    for record in records:
        assert model.find_drift(workspace, record) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from trainstack.core.models import model
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.blobs import BlobStore

moment = int(sys.argv[3])
steps = 0

def watch(frame, event, argument):
    global steps
    if event == "call" and "/trainstack/" in frame.f_code.co_filename:
        steps += 1
        if steps == moment:
            os.kill(os.getpid(), signal.SIGKILL)

workspace = Workspace.open(Path(sys.argv[1]))
sys.setprofile(watch)
model.register(workspace, model.ModelSpec(name="mnist"), Path(sys.argv[2]))
sys.setprofile(None)
print(steps)
"""


def test_a_registration_killed_anywhere_leaves_all_or_nothing(workspace: Workspace, source: Path):
    def attempt(moment: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _KILLED, str(workspace.root), str(source), str(moment)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    model.register(workspace, SPEC, source)
    (source / "variables" / "data").write_bytes(b"weights 2")
    total = int(attempt(0).stdout)
    assert total > 20
    for version, moment in enumerate(range(1, total, max(1, total // 12)), 3):
        (source / "variables" / "data").write_bytes(b"weights %d" % version)
        assert attempt(moment).returncode == -signal.SIGKILL
        for record in model.list_models(workspace):
            assert model.find_drift(workspace, record) == []
        record = model.register(workspace, SPEC, source)
        assert record.version == version
        assert record.digest == model.source_digest(source)
    names = [entry.name for entry in workspace.model("mnist").iterdir()]
    assert not [name for name in names if name.endswith(".tmp")]


def test_the_record_names_no_path_so_that_a_workspace_can_move(workspace: Workspace, source: Path, tmp_path: Path):
    model.register(workspace, SPEC, source)
    moved = tmp_path / "moved"
    workspace.root.rename(moved)
    record = model.find(Workspace.open(moved), "mnist")
    assert record.path == str(moved / "models" / "mnist" / "1" / "files")
    assert str(tmp_path) not in json.dumps(json.loads((moved / "models/mnist/1/model.json").read_text()))


def test_a_spec_with_unknown_fields_or_zero_cpus_is_refused():
    with pytest.raises(ValueError, match="extra"):
        ModelSpec(name="a", color="red")  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="greater than 0"):
        ModelSpec(name="a", resource_configuration={"cpu": 0, "memory_in_gb": 1})  # pyright: ignore[reportArgumentType]


def test_model_larger_than_disk_is_refused_at_once(small_disk: Path, tmp_path: Path):
    workspace = Workspace.create(small_disk / "workspace", "test")
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "weights").write_bytes(os.urandom(2_000_000))
    with pytest.raises(TrainstackError, match=r"disk full: model mnist needs 2,000,000 bytes") as caught:
        model.register(workspace, SPEC, tmp_path / "big")
    assert "\n" not in str(caught.value)
    assert list(workspace.blobs) == []
    assert not list((small_disk / "workspace" / "blobs").rglob("*.add"))
    (tmp_path / "big" / "weights").write_bytes(os.urandom(200_000))
    assert model.register(workspace, SPEC, tmp_path / "big").version == 1
