"""A script leaves links instead of outputs: what is done with outputs later reads and writes nothing through them."""

from pathlib import Path

import pytest
from tests.core.sample_runs import request, tiny_environment
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.replication.copies import pull, push
from trainstack.core.runs import artifacts
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.storage.addresses import open_store

LEAVE = """
import os, pathlib, sys
home = sys.argv[1]
pathlib.Path("outputs/net").mkdir()
for name in ("weights", "net/weights"):
    pathlib.Path("outputs", name).write_text("weights")
os.symlink(home, "outputs/folder")
os.symlink("../../..", "outputs/up")
os.symlink("loop", "outputs/loop")
os.symlink(".", "outputs/here")
os.symlink("/dev/zero", "outputs/endless")
os.symlink("nowhere", "outputs/dangling")
os.mkfifo("outputs/pipe")
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "id_rsa").write_text("the owner's key")
    return tmp_path / "home"


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture
def run(home, workspace, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(LEAVE)
    run = submission.submit(workspace, request(tiny_environment(), source, [str(home)]), source, {}).directory
    assert set(submission.follow(run).outputs) == {"weights", "net/weights"}
    return run


def test_links_to_folders_and_devices_are_no_outputs(run, workspace, tmp_path, home):
    copied = CliRunner().invoke(
        app, ["runs", "download", run.id, "outputs", "--to", str(tmp_path / "to"), "--workspace", str(workspace.root)]
    )
    assert copied.exit_code == 0, copied.output
    assert [path.name for path in (tmp_path / "to").rglob("*") if path.is_file()] == ["weights", "weights"]
    with pytest.raises(InvalidInputError, match="link"):
        model.register(workspace, ModelSpec(name="net"), Path("outputs"), run_id=run.id)
    for command in (["runs", "show", run.id], ["fsck"], ["gc"]):
        seen = CliRunner().invoke(app, [*command, "--workspace", str(workspace.root)])
        assert seen.exit_code == 0, seen.output
    push(workspace, open_store(str(tmp_path / "store")))
    mine, _ = pull(open_store(str(tmp_path / "store")), tmp_path / "mine")
    for root in (tmp_path / "store", mine.root):
        assert not [path for path in root.rglob("*") if path.is_file() and b"owner's key" in path.read_bytes()]


def test_an_output_that_became_a_link_is_put_back_beside_what_it_leads_to(run, workspace, home):
    record = run.read()
    for name in record.outputs:
        workspace.blobs.add(run.outputs / name)
    (run.outputs / "weights").unlink()
    (run.outputs / "weights").symlink_to(home / "id_rsa")
    (run.outputs / "net" / "weights").unlink()
    (run.outputs / "net").rmdir()
    (run.outputs / "net").symlink_to(home)
    assert artifacts.drift(run, record) == ["outputs/net/weights is gone", "outputs/weights was written over"]
    assert artifacts.restore(run, record, workspace.blobs) == []
    assert artifacts.drift(run, record) == []
    assert [path.read_text() for path in home.iterdir()] == ["the owner's key"]
