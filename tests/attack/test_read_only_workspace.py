"""A workspace on a disk that can only be read: all can be looked at, and what has to write says so in one line."""

import subprocess
from pathlib import Path

import pytest
from tests.core.sample_runs import SCRIPT, request, tiny_environment
from tests.waiting import until
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.datasets.dataset import DatasetSpec, register
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.py").write_text(SCRIPT)
    return tmp_path / "source"


@pytest.fixture
def packages():
    return tiny_environment()


@pytest.fixture
def workspace(tmp_path, source, packages):
    """One with a completed run."""
    made = Workspace.create(tmp_path / "ws", "ws")
    run = submission.submit(made, request(packages, source), source, {}).directory
    submission.follow(run)
    until(lambda: not run.has_supervisor())
    if subprocess.run(["mount", "--bind", made.root, made.root], capture_output=True).returncode != 0:
        pytest.skip("mounting a folder takes root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", made.root], check=True)
        yield made
    finally:
        subprocess.run(["umount", "--lazy", made.root], check=True)


@pytest.fixture
def run_id(workspace):
    return next(workspace.runs.glob("[0-9a-f]*")).name


def test_all_of_it_can_be_looked_at(workspace, run_id, tmp_path):
    for command in (
        ["runs", "list"],
        ["runs", "show", run_id],
        ["runs", "logs", run_id],
        ["runs", "download", run_id, "outputs", "--to", str(tmp_path / "to")],
        ["models", "list"],
        ["datasets", "list"],
        ["fsck"],
        ["gc"],
    ):
        seen = CliRunner().invoke(app, [*command, "--workspace", str(workspace.root)])
        assert seen.exit_code == 0, (command, seen.output)
    assert (tmp_path / "to" / "outputs" / "model" / "weights").read_text() == "1"


def test_what_has_to_write_says_in_one_line_where(workspace, run_id, source, packages):
    for write in (
        lambda: submission.submit(workspace, request(packages, source, {"--steps": 2}), source, {}),
        lambda: register(workspace, DatasetSpec(name="code", paths=(str(source),))),
        lambda: model.register(workspace, ModelSpec(name="net"), Path("outputs/model"), run_id=run_id),
    ):
        with pytest.raises(TrainstackError, match=f"{workspace.root}.*ead-only") as refused:
            write()
        assert "\n" not in str(refused.value)
