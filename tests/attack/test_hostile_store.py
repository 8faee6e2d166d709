"""Whoever may write to the store of a workspace writes records by hand: they reach no file outside of the workspace."""

import json

import pytest

from trainstack.core.datasets import dataset_record
from trainstack.core.models import model
from trainstack.core.replication.copies import pull, push
from trainstack.core.runs import artifacts
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage.addresses import open_store
from trainstack.storage.digest import of_bytes
from trainstack.storage.store import blob_key

COMMAND = b"run this as the victim"
DIGEST = of_bytes(COMMAND)
OUTSIDE = ("../../../../planted", "{home}/.bashrc", "a/../../../../../planted", "./../../../../planted", "..")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".bashrc").write_text("mine")
    return tmp_path / "home"


@pytest.fixture(params=OUTSIDE)
def records(request, home):
    """Records that name a file outside of their folder, by their keys."""
    name = request.param.format(home=home)
    run = RunRecord(id="r1", name="r", status=Status.COMPLETED, created=1, updated=1, attempt=1)
    return {
        "datasets/data/1.json": {
            "name": "data",
            "version": 1,
            "digest": DIGEST,
            "created": "",
            "updated": "",
            "sources": "",
            "files": [{"path": name, "size": len(COMMAND), "sha256": DIGEST, "source": ""}],
        },
        "models/net/1/model.json": {
            "name": "net",
            "version": 1,
            "digest": DIGEST,
            "created": "",
            "files": {name: DIGEST},
        },
        "runs/r1/run.json": {**run.model_dump(mode="json"), "outputs": {name: DIGEST}},
    }


@pytest.fixture
def planted(records, tmp_path, home):
    """The folder of a store in which they were planted; nothing beside it may change."""
    push(Workspace.create(tmp_path / "theirs", "ws"), open_store(str(tmp_path / "store")))
    write(tmp_path / "store", records)
    before = tree(tmp_path)
    yield tmp_path / "store"
    assert tree(tmp_path) - before <= {"mine"}
    assert (home / ".bashrc").read_text() == "mine"


def write(root, records):
    contents = {key: json.dumps(document).encode() for key, document in records.items()}
    for key, data in {**contents, blob_key(DIGEST): COMMAND}.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(data)


def tree(folder):
    return {path.name for path in folder.iterdir()}


def test_a_pull_names_such_records_and_leaves_them(planted, tmp_path):
    mine, report = pull(open_store(str(planted)), tmp_path / "mine")
    assert len([line for line in report.damages if "names a file outside of its folder" in line]) == 3
    assert model.list_models(mine) == []
    assert not mine.run("r1").exists()


def test_such_records_in_a_copy_are_damaged_ones(planted, records, tmp_path):
    mine = Workspace.create(tmp_path / "mine", "ws")
    write(mine.root, records)
    with pytest.raises(TrainstackError, match="is damaged"):
        dataset_record.find(mine, "data")
    with pytest.raises(TrainstackError, match="is damaged"):
        model.restore(mine, model.find(mine, "net"))
    run = RunDirectory(mine.run("r1"))
    with pytest.raises(TrainstackError, match="is damaged"):
        artifacts.restore(run, run.read(), mine.blobs)


def test_a_history_by_hand_makes_no_record_that_leads_out(planted, records, tmp_path):
    mine = Workspace.create(tmp_path / "mine", "ws")
    write(mine.root, records)
    run = RunDirectory(mine.run("r1"))
    run.event("end", status="completed", attempt=1, outputs=records["runs/r1/run.json"]["outputs"])
    record = run.read()
    assert record.status is not Status.COMPLETED
    assert artifacts.restore(run, record, mine.blobs) == []
