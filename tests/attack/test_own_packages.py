"""A script writes into its own packages: no other environment changes, and the next run gets them whole."""

import os
import subprocess

import pytest
from tests.core.sample_runs import request
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.environments.environment import EnvironmentSpec, build, lock
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace

SCRIPT = """
import os, pathlib, sys
import six
pathlib.Path("outputs/version.txt").write_text(six.__version__)
if "--harm" in sys.argv:
    os.chmod(six.__file__, 0o644)
    with open(six.__file__, "a") as file:
        file.write("__version__ = 'harmed'")
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture
def packages(source):
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"])
    locked = lock(spec)
    return spec, locked, build(spec, locked)


def test_harm_to_packages_stays_in_one_environment_and_is_mended(packages, source, workspace):
    spec, locked, built = packages
    other = EnvironmentSpec.from_packages("other", ["six==1.17.0", "itsdangerous==2.2.0"])
    beside = build(other, lock(other))
    run = submission.submit(workspace, request((spec, locked), source, ["--harm"]), source, {}).directory
    submission.follow(run)
    version = [str(beside.python), "-c", "import six; print(six.__version__)"]
    assert subprocess.run(version, capture_output=True, text=True, check=True).stdout == "1.17.0\n"
    os.utime(built.folder / "seal", (0, 0))
    following = submission.submit(workspace, request((spec, locked), source), source, {}).directory
    submission.follow(following)
    assert (following.outputs / "version.txt").read_text() == "1.17.0"


def test_fsck_reads_environments_and_names_a_changed_file(packages, workspace):
    _, _, built = packages
    six = next(built.folder.glob("venv/lib/python3*/site-packages/six.py"))
    fsck = ["fsck", "--environments", "--workspace", str(workspace.root)]
    assert CliRunner().invoke(app, fsck).exit_code == 0
    six.chmod(0o644)
    six.write_text("")
    checked = CliRunner().invoke(app, [*fsck, "--json"])
    assert checked.exit_code == 1
    assert "six.py was changed" in checked.output
    assert CliRunner().invoke(app, fsck).exit_code == 0, "it is not used any more"
