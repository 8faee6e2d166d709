"""Trainstack's own commands in the wrong folder, without a stack, without its passphrase: one line says what to do."""

import subprocess
import sys

import pytest
from tests.end_to_end.project import Project, engine_folder

pytestmark = pytest.mark.end_to_end

COMMANDS = ["plan", "graph", "lock"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a stack whose passphrase is `right`."""
    root = tmp_path_factory.mktemp("place")
    (root / "state").mkdir()
    variables = {"PULUMI_BACKEND_URL": f"file://{root / 'state'}", "PULUMI_CONFIG_PASSPHRASE": "right"}
    (root / "project").mkdir()
    (root / "project" / "Pulumi.yaml").write_text("name: place\nruntime: python\n")
    (root / "project" / "__main__.py").write_text("import pulumi\npulumi.export('a', 1)\n")
    created = Project(root / "project", variables)
    created.pulumi("stack", "init", "dev")
    created.pulumi("config", "set", "--secret", "token", "x")
    created.pulumi("stack", "unselect")
    return created


def failed(project, *words, folder=None, without=(), **variables):
    environment = {name: value for name, value in project.environment().items() if name not in without} | variables
    done = subprocess.run(
        [sys.executable, "-m", "trainstack.cli", *words],
        cwd=folder or project.root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    return done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_outside_of_a_project_it_says_where_to_go(project, command, tmp_path):
    assert f"no Pulumi project in {tmp_path} or a parent: change to" in failed(project, command, folder=tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_stack_it_names_those_there_are(project, command):
    said = failed(project, command)
    assert "no stack is selected: select one with `pulumi stack select NAME` (there is dev), or name" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_stack_names_those_there_are(project, command):
    assert "there is no stack 'dve': select one with" in failed(project, command, "--stack", "dve")


def test_a_project_without_a_stack_says_how_to_make_one(project, tmp_path):
    (tmp_path / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    assert "no stack is selected: make one with `pulumi stack init dev`" in failed(project, "plan", folder=tmp_path)


def test_a_wrong_passphrase_says_which_variable(project):
    said = failed(project, "plan", "--stack", "dev", PULUMI_CONFIG_PASSPHRASE="wrong")
    assert "the passphrase is not the stack's: set PULUMI_CONFIG_PASSPHRASE" in said


def test_no_passphrase_says_which_variable(project):
    path = f"{engine_folder()}:{project.environment()['PATH']}"
    said = failed(project, "plan", "--stack", "dev", without=["PULUMI_CONFIG_PASSPHRASE"], PATH=path)
    assert "the stack's secrets need its passphrase: set PULUMI_CONFIG_PASSPHRASE" in said


def test_no_backend_says_how_to_have_one(project, tmp_path):
    said = failed(project, "plan", "--stack", "dev", without=["PULUMI_BACKEND_URL"], PULUMI_HOME=str(tmp_path))
    assert "Pulumi does not know where states are kept: add `backend: {url: file://./.pulumi-state}`" in said


def test_outside_of_a_workspace_runs_say_where_to_go(project, tmp_path):
    assert f"no workspace in {tmp_path} or a parent: change to" in failed(project, "runs", "list", folder=tmp_path)
