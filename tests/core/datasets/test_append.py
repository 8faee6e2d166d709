"""A version that is appended to shares everything of the one before."""

import pytest

from trainstack.core.datasets.dataset import DatasetSpec, contents, find_drift, register
from trainstack.core.datasets.expected import expect
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError


@pytest.fixture
def workspace(cache, tmp_path):
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def append(workspace, tmp_path):
    """Writes files into a folder, and appends it."""

    def write(folder, **files):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
        spec = DatasetSpec(name="days", paths=(str(tmp_path / folder),), append=True)
        expected = expect(workspace, spec).outputs
        record = register(workspace, spec)
        assert expected["digest"] == record.digest
        assert expected["files"] == contents(workspace, record)
        return record

    return write


def test_the_next_version_has_the_files_of_both(workspace, append):
    first, second = append("monday", a="1"), append("tuesday", b="2")
    assert [file.path for file in second.files] == ["a", "b"]
    assert (first.version, second.version, second.appended_to) == (1, 2, 1)
    assert find_drift(workspace, second).differences == ()


def test_appending_the_same_again_is_the_same_version(append):
    append("monday", a="1")
    assert append("tuesday", b="2") == append("tuesday")
    assert append("monday").version == 2


def test_what_is_there_is_not_overwritten(workspace, append, tmp_path):
    append("monday", a="1")
    (tmp_path / "tuesday").mkdir()
    (tmp_path / "tuesday" / "a").write_text("other")
    spec = DatasetSpec(name="days", paths=(str(tmp_path / "tuesday"),), append=True)
    for look in (expect, register):
        with pytest.raises(InvalidInputError, match="'a' of dataset 'days' has changed since version 1"):
            look(workspace, spec)


def test_a_file_does_not_become_a_folder(workspace, append, tmp_path):
    append("monday", a="1")
    (tmp_path / "tuesday" / "a").mkdir(parents=True)
    (tmp_path / "tuesday" / "a" / "b").write_text("2")
    with pytest.raises(InvalidInputError, match="'a' would be a file and a folder"):
        register(workspace, DatasetSpec(name="days", paths=(str(tmp_path / "tuesday"),), append=True))
