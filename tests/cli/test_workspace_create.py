"""`trainstack workspace create`: an empty workspace, with the id of a lost one where that is given."""

from trainstack.core.workspace.workspace import Workspace


def test_a_workspace_is_created_with_the_id_of_a_lost_one(tmp_path, cli, json_output):
    folder = tmp_path / "made" / "here"
    assert json_output("workspace", "create", str(folder), "--name", "mnist", "--id", "9b6d2764") == {
        "name": "mnist",
        "folder": str(folder),
        "id": "9b6d2764",
    }
    assert Workspace.open(folder).id == "9b6d2764"
    again = cli("workspace", "create", str(folder), "--name", "mnist")
    assert again.exit_code == 1
    assert "is not empty: move it away" in again.stderr


def test_an_id_that_is_none_is_refused(tmp_path, cli):
    result = cli("workspace", "create", str(tmp_path / "one"), "--name", "mnist", "--id", "../x")
    assert result.exit_code == 1
    assert "'../x' is no workspace's id" in result.stderr
    assert not (tmp_path / "one").exists()


def test_a_workspace_without_an_id_gets_one_by_lot(tmp_path, cli):
    result = cli("workspace", "create", str(tmp_path / "one"), "--name", "mnist")
    workspace = Workspace.open(tmp_path / "one")
    assert result.stdout == f"created workspace mnist ({workspace.id}) at {workspace.root}\n"
