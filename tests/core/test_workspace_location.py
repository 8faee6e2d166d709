"""A stack's workspace that is not where the program looks for it."""

import shutil
from dataclasses import replace

import pytest

from trainstack.core.workspace.location import WorkspaceLocation
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, WorkspaceNotFoundError


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "there" / "ws", "ws")


def refusal(location: WorkspaceLocation, root) -> str:
    with pytest.raises(WorkspaceNotFoundError) as error:
        location.open(root, "ws")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_workspace_that_is_here_opens(workspace):
    assert WorkspaceLocation.of(workspace).open(workspace.root, "ws") == workspace


def test_its_folder_may_move_and_its_machine_be_renamed(workspace, tmp_path):
    location = replace(WorkspaceLocation.of(workspace), machine="ci-7")
    moved = workspace.root.rename(tmp_path / "ws")
    assert location.open(moved, "ws").id == location.workspace_id


def test_another_machine_is_named_with_its_folder(workspace, tmp_path):
    location = replace(WorkspaceLocation.of(workspace), machine="ci-7")
    assert refusal(location, tmp_path / "here") == (
        f"workspace 'ws' is not here: ci-7 has it in {workspace.root}; run there, set root= to a shared disk, "
        "or `trainstack workspace push ADDRESS` there and "
        f"`trainstack workspace pull ADDRESS --workspace {tmp_path}/here` here; "
        f"lost for good, it begins anew, empty: `trainstack workspace create {tmp_path}/here --name ws "
        f"--id {workspace.id}`, then `pulumi refresh`"
    )


def test_another_folder_of_this_machine_is_named(workspace, tmp_path):
    text = refusal(WorkspaceLocation.of(workspace), tmp_path / "here")
    assert f"has it in {workspace.root}; set root= to that folder" in text


@pytest.mark.parametrize("root", ["there/ws", "moved/ws"])
def test_a_folder_that_is_gone_is_said_to_be(workspace, tmp_path, root):
    location = WorkspaceLocation.of(workspace)
    shutil.rmtree(workspace.root)
    text = refusal(location, tmp_path / root)
    assert text.startswith(f"workspace 'ws' is gone from {workspace.root} on ")
    assert "mount its disk" in text


def test_another_workspace_at_the_path_is_refused(workspace):
    location = WorkspaceLocation.of(workspace)
    shutil.rmtree(workspace.root)
    Workspace.create(workspace.root, "ws")
    assert f"{workspace.root} is not the workspace 'ws' that this stack uses" in refusal(location, workspace.root)


def test_an_absent_workspace_is_not_read_as_something_gone():
    assert not issubclass(WorkspaceNotFoundError, NotFoundError)
