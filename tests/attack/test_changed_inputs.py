"""A script writes to the code and data that it was given: no other run reads that, and its own run fails."""

import json
import os
from pathlib import Path

import pytest
from tests.core.sample_runs import events, request, tiny_environment
from tests.waiting import until

from trainstack.core.datasets.dataset import DatasetSpec, register
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.request import DatasetReference
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import RunFailedError, TrainstackError
from trainstack.storage import blobs as blob_store

# What a script of another user's would be refused, root may; a chmod does it for everybody.
WRITE = """
import os, pathlib, sys, time
waiting, target = sys.argv[1:3]
path = pathlib.Path(target)
while waiting and not pathlib.Path(waiting).exists():
    time.sleep(0.02)
if target:
    os.chmod(path, 0o644)
    before = path.stat()
    path.write_text("other data")
    if "--hide" in sys.argv:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
pathlib.Path("outputs/read.txt").write_text(pathlib.Path(sys.argv[-1]).read_text())
"""


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture
def start(tmp_path, workspace):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(WRITE)
    (source / "settings.txt").write_text("as submitted")
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "a.txt").write_text("good data")
    record = register(workspace, DatasetSpec(name="points", paths=(str(folder),)))
    reference = DatasetReference(name="points", version=record.version, digest=record.digest)
    packages = tiny_environment()

    def start(*arguments):
        submitted = request(
            packages,
            source,
            [*arguments, "${dataset:points}/a.txt"],
            parts={"datasets": {"points": record.digest}},
            datasets={"points": reference},
        )
        return submission.submit(workspace, submitted, source, {}).directory

    return start


@pytest.fixture
def large(monkeypatch, tmp_path):
    """Data that is too large to be copied for each run: the supervisors' Python is told so."""
    monkeypatch.setattr(blob_store, "_COPIED_BYTES", 0)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\nfrom trainstack.storage import blobs\nblobs._COPIED_BYTES = 0\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{os.environ.get('PYTHONPATH', '')}")


def blob_of(workspace, run, name):
    return next(path for path in workspace.blobs.root.glob("sha256/*/*") if path.samefile(run.root / name))


@pytest.mark.parametrize("hidden", [[], ["--hide"]], ids=["openly", "and puts the time back"])
@pytest.mark.parametrize(
    ("target", "name"), [("../data/points/a.txt", "data/points/a.txt"), ("settings.txt", "code/settings.txt")]
)
def test_a_run_whose_script_writes_to_its_inputs_fails_and_names_the_file(start, workspace, target, name, hidden):
    run = start("", target, *hidden)
    with pytest.raises(RunFailedError, match=f"{name} changed while it ran"):
        submission.follow(run)
    # It had a copy of its own, so that the workspace's file is what it was, and so is what others get.
    assert all(workspace.blobs.verify(digest) for digest in workspace.blobs)
    other = start("", "")
    submission.follow(other)
    assert (other.outputs / "read.txt").read_text() == "good data"


def test_a_run_that_failed_so_trains_again(start):
    run = start("", "settings.txt")
    with pytest.raises(RunFailedError):
        submission.follow(run)
    again = start("", "settings.txt")
    with pytest.raises(RunFailedError, match="changed while it ran"):
        submission.follow(again)
    assert again.read().attempt == 2


def test_large_data_that_one_run_writes_to_ends_every_run_that_reads_it(start, workspace, tmp_path, large):
    waits = start(str(tmp_path / "go"), "")
    until(lambda: waits.read().status is Status.RUNNING)
    assert blob_of(workspace, waits, "data/points/a.txt")
    writes = start("", "../data/points/a.txt")
    with pytest.raises(RunFailedError, match=r"data/points/a\.txt changed while it ran"):
        submission.follow(writes)
    [told] = [event for event in events(waits) if event["kind"] == "inputs changed"]
    assert told["files"] == ["data/points/a.txt"]
    assert told["noticed_by"] == writes.id
    (tmp_path / "go").touch()
    with pytest.raises(RunFailedError, match=r"data/points/a\.txt changed while it ran"):
        submission.follow(waits)
    # Nobody is given the damaged file any more.
    with pytest.raises((RunFailedError, TrainstackError), match="damaged"):
        submission.follow(start("", "", "--later"))


def test_a_run_that_has_ended_shares_its_copies_with_the_workspace(start, workspace):
    run = start("", "")
    submission.follow(run)
    until(lambda: not run.has_supervisor())
    for name in ("data/points/a.txt", "code/settings.txt"):
        assert blob_of(workspace, run, name)
    assert Path(run.outputs / "read.txt").read_text() == "good data"
    assert json.loads((run.root / "run.json").read_text())["status"] == "completed"
