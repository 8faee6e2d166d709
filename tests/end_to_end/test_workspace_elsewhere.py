"""One stack's state, two checkouts: the one that lacks the workspace's folder says so and harms nothing."""

import json
import re
import shlex
import shutil

import pytest
from tests.end_to_end.project import Project, new_project
from tests.end_to_end.shared_program import another_checkout, write_program
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.cache import cache_folder

pytestmark = pytest.mark.end_to_end

WORKSPACE = ".trainstack/shared"


@pytest.fixture
def checkouts(tmp_path) -> tuple[Project, Project]:
    """A finished stack's checkout, and another one of the same state with a home of its own."""
    first = new_project(tmp_path / "first")
    first.variables = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/first/.pulumi-state", "PULUMI_STACK": "test"}
    write_program(first)
    first.up()
    apart = {"HOME": str(tmp_path / "home"), "TRAINSTACK_CACHE": str(cache_folder())}
    (tmp_path / "home").mkdir()
    return first, another_checkout(first.root, tmp_path / "second", {**first.variables, **apart})


def outputs(project: Project) -> dict[str, dict]:
    text = project.pulumi("stack", "export").text
    resources = json.loads(text[text.index("{") :])["deployment"]["resources"]
    return {resource["urn"]: resource.get("outputs", {}) for resource in resources}


def refused(project: Project, *arguments: str) -> str:
    """Run a command that must fail in one line about the workspace, and return that line."""
    result = project.pulumi(*arguments, expect=None)
    assert result.code != 0, result.text
    lines = [line for line in result.text.split("Diagnostics:")[-1].splitlines() if line.strip().startswith("error: ")]
    lines = [line.strip() for line in lines if not line.strip().endswith(("update failed", "preview failed"))]
    assert len(lines) == 1, result.text
    assert "Traceback" not in result.text
    return lines[0]


def test_a_checkout_without_the_workspace_refuses(checkouts):
    first, second = checkouts
    before = outputs(first)
    for command in (
        ["preview"],
        ["up", "--yes"],
        ["up", "--yes", "--skip-preview"],
        ["refresh", "--yes"],
        ["refresh", "--yes", "--skip-preview"],
        ["refresh", "--preview-only"],
    ):
        line = refused(second, *command)
        assert f"has it in {first.root / WORKSPACE}; set root= to that folder" in line
    assert outputs(first) == before
    first.unchanged()


def test_another_workspace_at_the_path_is_refused(checkouts):
    first, second = checkouts
    Workspace.create(second.root / WORKSPACE, "shared")
    before = outputs(first)
    for command in (["preview"], ["refresh", "--yes", "--skip-preview"]):
        assert f"{second.root / WORKSPACE} is not the workspace 'shared' that this stack uses" in refused(
            second, *command
        )
    assert outputs(first) == before
    first.unchanged()


def test_a_copy_of_the_workspace_is_the_workspace(checkouts):
    first, second = checkouts
    shutil.copytree(first.root / WORKSPACE, second.root / WORKSPACE)
    second.unchanged()
    second.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


@pytest.mark.long
def test_a_lost_workspace_is_begun_anew_when_that_is_said(checkouts):
    first, _ = checkouts
    run = first.outputs()["run"]
    shutil.rmtree(first.root / WORKSPACE)
    for command in (["preview"], ["refresh", "--yes", "--skip-preview"]):
        assert f"is gone from {first.root / WORKSPACE}" in refused(first, *command)
    command = re.findall(r"`trainstack ([^`]*)`, then `pulumi refresh`", refused(first, "preview"))[0]
    assert CliRunner().invoke(app, shlex.split(command)).exit_code == 0
    first.pulumi("refresh", "--yes", "--skip-preview")
    assert len(first.preview().lines("(create)")) == 4
    first.up()
    assert first.outputs()["run"] == run
    assert (first.root / WORKSPACE / "runs" / run / "run.json").is_file()
    first.unchanged()


def test_destroy_needs_no_workspace(checkouts):
    _, second = checkouts
    result = second.pulumi("destroy", "--yes", "--skip-preview")
    assert result.lines("its tracking server is not stopped: workspace 'shared' is not in")
