"""A workspace's folder, and how programs find it."""

import pytest

from trainstack.core.workspace import config as workspace_config
from trainstack.core.workspace.project import portable, project_root
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, TrainstackError, WorkspaceNotFoundError


def test_a_workspace_is_made_once_and_opened_after(tmp_path):
    made = Workspace.create(tmp_path / "ws", "mnist")
    assert Workspace.create(tmp_path / "ws", "mnist") == made == Workspace.open(tmp_path / "ws")


def test_a_folder_of_another_workspace_is_refused(tmp_path):
    Workspace.create(tmp_path, "one")
    with pytest.raises(TrainstackError, match="is the workspace 'one', not 'two'"):
        Workspace.create(tmp_path, "two")


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"layout": 99, "name": "x"}', "layout 99"), ("[]", "neither layout nor name"), ("{", "is damaged")],
)
def test_a_marker_of_another_layout_is_refused_and_kept(tmp_path, text, words):
    (tmp_path / "workspace.json").write_text(text)
    with pytest.raises(TrainstackError, match=words):
        Workspace.open(tmp_path)
    assert (tmp_path / "workspace.json").read_text() == text


def test_no_workspace_says_what_to_do(tmp_path):
    with pytest.raises(WorkspaceNotFoundError, match="pulumi up"):
        Workspace.open(tmp_path)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 64, ".hidden"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    with pytest.raises(InvalidInputError, match="not usable"):
        Workspace.create(tmp_path / "ws", name)


@pytest.mark.parametrize("where", [".", ".trainstack", "..", "../.trainstack"])
def test_config_is_found_here_in_dot_trainstack_or_above(tmp_path, where):
    here = tmp_path / "program"
    here.mkdir()
    folder = here / where
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"name": "shared", "root": "store"}')
    root, config = workspace_config.find(here)
    assert config.name == "shared"
    assert root.resolve() == ((tmp_path if ".." in where else here) / "store").resolve()


def test_what_is_written_is_found_again_and_survives_a_move(tmp_path):
    workspace = Workspace.create(tmp_path / "one" / ".trainstack" / "ws", "ws")
    workspace_config.write(tmp_path / "one", workspace)
    assert workspace_config.find(tmp_path / "one")[0] == workspace.root
    (tmp_path / "one").rename(tmp_path / "two")
    assert workspace_config.find(tmp_path / "two")[0] == tmp_path / "two" / ".trainstack" / "ws"


def test_a_config_that_names_nothing_says_what_to_add(tmp_path):
    (tmp_path / "config.json").write_text('{"subscription_id": "x"}')
    with pytest.raises(InvalidInputError, match=r"config\.json must hold"):
        workspace_config.find(tmp_path)


def test_paths_in_a_project_are_relative_others_absolute(tmp_path):
    assert portable(tmp_path / "a" / ".." / "b", tmp_path) == "b"
    assert portable(tmp_path.parent / "x", tmp_path) == str(tmp_path.parent / "x")


def test_the_project_is_where_pulumi_yaml_is(tmp_path):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    (tmp_path / "programs" / "p").mkdir(parents=True)
    assert project_root(tmp_path / "programs" / "p") == tmp_path
