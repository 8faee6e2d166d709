"""The files that a run leaves."""

import pytest

from trainstack.core.runs import artifacts
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError
from trainstack.storage.digest import of_file


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture
def run(workspace):
    directory = RunDirectory(workspace.run("r1"))
    (directory.outputs / "model").mkdir(parents=True)
    (directory.outputs / "model" / "weights").write_text("w")
    (directory.outputs / "plot.png").write_text("p")
    directory.logs.mkdir()
    (directory.logs / "run.txt").write_text("log")
    (directory.root / "spec.json").write_text("machinery")
    return directory


def test_outputs_and_logs_are_offered_and_machinery_is_not(run):
    assert list(artifacts.listing(run.root)) == ["logs/run.txt", "outputs/model/weights", "outputs/plot.png"]


def test_files_are_copied_by_the_start_of_their_path(run, tmp_path):
    copies = artifacts.download(run.root, "outputs/model", tmp_path / "here")
    assert copies == [str(tmp_path / "here" / "outputs" / "model" / "weights")]
    assert (tmp_path / "here" / "outputs" / "model" / "weights").read_text() == "w"


@pytest.mark.parametrize(
    ("prefix", "copy"),
    [
        ("outputs/model", "weights"),
        ("outputs/model/", "weights"),
        ("outputs/mo", "model/weights"),
        ("outputs/model/weights", "weights"),
        ("", "outputs/model/weights"),
    ],
)
def test_copies_may_leave_out_the_folders_of_the_prefix(run, tmp_path, prefix, copy):
    planned = artifacts.copies(run.root, prefix, tmp_path / "here", append_prefix=False)
    assert planned["outputs/model/weights"] == tmp_path / "here" / copy
    assert not (tmp_path / "here").exists()


def test_a_start_that_fits_nothing_lists_what_there_is(run, tmp_path):
    with pytest.raises(NotFoundError, match=r"'nothing'.*logs/run\.txt"):
        artifacts.download(run.root, "nothing", tmp_path)


def test_an_output_written_over_is_drift_and_comes_back(run, workspace):
    weights, plot = run.outputs / "model" / "weights", run.outputs / "plot.png"
    digests = artifacts.digest_outputs(run)
    assert digests == {"model/weights": of_file(weights), "plot.png": of_file(plot)}
    record = RunRecord(id="r1", name="r", status=Status.COMPLETED, created=0, updated=0, outputs=digests)
    workspace.blobs.add(weights)
    assert artifacts.drift(run, record) == []
    weights.write_text("another")
    plot.write_text("other")
    assert artifacts.drift(run, record) == [
        "outputs/model/weights was written over",
        "outputs/plot.png was written over",
    ]
    assert artifacts.restore(run, record, workspace.blobs) == ["outputs/plot.png"]
    assert weights.read_text() == "w"
    assert plot.read_text() == "other"


def test_a_lost_output_comes_back_from_the_store(run, workspace):
    weights, plot = run.outputs / "model" / "weights", run.outputs / "plot.png"
    digests = {"model/weights": of_file(weights), "plot.png": of_file(plot)}
    record = RunRecord(id="r1", name="r", status=Status.COMPLETED, created=0, updated=0, outputs=digests)
    workspace.blobs.add(weights)
    weights.unlink()
    plot.unlink()
    assert artifacts.restore(run, record, workspace.blobs) == ["outputs/plot.png"]
    assert weights.read_text() == "w"
