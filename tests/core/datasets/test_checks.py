"""A version that is not what is declared of it is not registered."""

import pytest

from trainstack.core.datasets.checks import DatasetChecks
from trainstack.core.datasets.dataset import DatasetSpec, list_datasets, register
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError


@pytest.fixture
def workspace(cache, tmp_path):
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "a.csv").write_text("12345")
    (tmp_path / "data" / "empty.csv").touch()

    def make(**checks):
        return DatasetSpec(name="rows", paths=(str(tmp_path / "data"),), checks=DatasetChecks(**checks))

    return make


def test_a_version_that_keeps_its_checks_is_registered(workspace, spec):
    checks = {"min_files": 2, "max_files": 2, "min_bytes": 5, "max_bytes": 5, "globs": ("train/*.csv", "**/a.csv")}
    assert register(workspace, spec(**checks)).version == 1


@pytest.mark.parametrize(
    ("checks", "problem"),
    [
        ({"min_files": 3}, "2 files, at least 3"),
        ({"max_files": 1}, "2 files, at most 1"),
        ({"min_bytes": 6}, "5 bytes, at least 6"),
        ({"max_bytes": 4}, "5 bytes, at most 4"),
        ({"globs": ("test/*.csv",)}, r"no file matches 'test/\*\.csv'"),
        ({"no_empty_files": True}, r"1 empty files, 'empty\.csv' among them"),
        ({"min_files": 3, "min_bytes": 6}, "2 files, at least 3; 5 bytes, at least 6"),
    ],
)
def test_a_version_that_does_not_is_refused_by_the_reason(workspace, spec, checks, problem):
    with pytest.raises(InvalidInputError, match=f"dataset 'rows' is not what checks declare: {problem}: correct"):
        register(workspace, spec(**checks))
    assert list_datasets(workspace) == []
