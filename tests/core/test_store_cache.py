"""Paths of a workspace in an object store: the same in state everywhere, a folder of the cache on each machine."""

from pathlib import Path

import pytest

from trainstack.core.workspace.store_cache import address_of, folder_for, local_path, stored_path
from trainstack.errors import InvalidInputError

ADDRESS = "s3://bucket/team/mnist"


pytestmark = pytest.mark.usefixtures("cache")


def test_the_folder_of_an_address_is_marked(cache):
    folder = folder_for(ADDRESS)
    assert folder.parent == cache / "workspaces"
    assert address_of(folder) == ADDRESS
    assert folder_for(ADDRESS) == folder_for(f"{ADDRESS}/") == folder
    assert folder_for("s3://bucket/team") != folder


def test_a_folder_of_ones_own_has_no_address(tmp_path):
    assert address_of(tmp_path) == ""


def test_a_path_in_the_cache_is_written_as_an_address(tmp_path):
    run = folder_for(ADDRESS) / "runs" / "0123456789abcdef"
    text = stored_path(run, tmp_path)
    assert text == f"{ADDRESS}/runs/0123456789abcdef"
    assert local_path(text, tmp_path) == run


def test_another_machine_reads_the_same_address(tmp_path, monkeypatch):
    text = stored_path(folder_for(ADDRESS) / "runs" / "x", tmp_path)
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "other"))
    folder = folder_for(ADDRESS)
    assert folder.is_relative_to(tmp_path / "other")
    assert local_path(text, tmp_path) == folder / "runs" / "x"


def test_a_workspace_may_lie_below_another(tmp_path):
    outer, inner = folder_for("s3://bucket/team"), folder_for(ADDRESS)
    assert local_path(f"{ADDRESS}/runs/x", tmp_path) == inner / "runs" / "x"
    assert local_path("s3://bucket/team/runs/x", tmp_path) == outer / "runs" / "x"


def test_other_paths_stay_relative_to_the_project(tmp_path):
    assert stored_path(tmp_path / "a" / "b", tmp_path) == "a/b"
    assert local_path("a/b", tmp_path) == tmp_path / "a" / "b"
    assert local_path("/a/b", tmp_path) == Path("/a/b")
    assert local_path("~/a", tmp_path) == Path("~/a").expanduser()


def test_an_address_that_a_path_was_made_of_is_one(tmp_path):
    assert stored_path(tmp_path / ADDRESS, tmp_path) == ADDRESS


def test_a_wrong_address_is_refused():
    with pytest.raises(InvalidInputError, match="root 's3://B' is no address of a bucket"):
        folder_for("s3://B")
