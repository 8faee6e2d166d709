"""Another user of the machine plants a workspace, the file that names one, or a log: nothing of it is used."""

import json
import os
from pathlib import Path

import pytest

from trainstack.core.tracking.settings import read_settings
from trainstack.core.workspace import config
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.storage.log_file import open_log

STRANGER = 54321


@pytest.fixture
def given_away():
    if os.geteuid() != 0:
        pytest.skip("giving a file to another user takes root")

    def give(path: Path) -> Path:
        os.chown(path, STRANGER, -1)
        return path

    return give


@pytest.fixture
def workspace(tmp_path):
    opened = Workspace.create(tmp_path / "workspace", "tests")
    config.write(tmp_path, opened)
    return opened


@pytest.mark.parametrize("planted", [".trainstack/config.json", ".trainstack"])
def test_a_planted_file_chooses_no_workspace(planted, workspace, tmp_path, given_away):
    given_away(tmp_path / planted)
    below = tmp_path / "project"
    below.mkdir()
    with pytest.raises(TrainstackError, match=f"user {STRANGER}, who could run commands as you"):
        config.find(below)


@pytest.mark.parametrize("planted", ["", "workspace.json"])
def test_a_strangers_workspace_is_not_opened(planted, workspace, given_away):
    given_away(workspace.root / planted)
    with pytest.raises(TrainstackError, match=f"set TRAINSTACK_SAFE_FOLDERS={workspace.root}"):
        Workspace.open(workspace.root)


def test_a_folder_that_is_said_to_be_safe_is_used(workspace, tmp_path, given_away, monkeypatch):
    given_away(workspace.root)
    for safe in (str(workspace.root), f"/elsewhere:{workspace.root}/", "*"):
        monkeypatch.setenv("TRAINSTACK_SAFE_FOLDERS", safe)
        assert Workspace.open(workspace.root).name == "tests"
    monkeypatch.setenv("TRAINSTACK_SAFE_FOLDERS", str(tmp_path))
    with pytest.raises(TrainstackError):
        Workspace.open(workspace.root)


def test_under_sudo_the_callers_folders_are_trusted(workspace, given_away, monkeypatch):
    given_away(workspace.root)
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    assert Workspace.open(workspace.root).name == "tests"


def test_a_planted_address_of_the_history_is_refused(workspace):
    settings = {"tracking_uri": "file:///etc", "port": 5100}
    workspace.history.mkdir()
    (workspace.history / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(InvalidInputError, match="is no address of a server"):
        read_settings(workspace)


def test_a_log_is_written_through_no_link(tmp_path):
    target, link = tmp_path / "bashrc", tmp_path / "log.txt"
    target.write_text("mine")
    link.symlink_to(target)
    with pytest.raises(TrainstackError, match="is a link, which a log may not be"):
        open_log(link)
    assert target.read_text() == "mine"


def test_a_log_is_appended_to(tmp_path):
    for line in (b"one\n", b"two\n"):
        with open_log(tmp_path / "folder" / "log.txt") as log:
            log.write(line)
    assert (tmp_path / "folder" / "log.txt").read_bytes() == b"one\ntwo\n"
