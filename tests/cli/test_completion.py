"""The shell completes names of a workspace, and says nothing where there is none."""

import pytest
import typer
from tests.core.sample_runs import WRITTEN

from trainstack.cli import completion
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec

__all__ = ["WRITTEN"]


@pytest.fixture
def context(workspace):
    made = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None)))
    made.params["workspace"] = workspace.root
    return made


def test_runs_are_completed_by_name_and_by_the_start_of_an_id(written, context):
    written("aaaa000000000000", name="fit")
    assert completion.run_names(context, "") == ["fit"]
    assert completion.run_names(context, "aa") == ["aaaa000000000000"]


def test_versions_come_once_the_name_is_there(workspace, context, tmp_path):
    (tmp_path / "weights").write_bytes(b"x")
    model.register(workspace, ModelSpec(name="digits"), tmp_path / "weights")
    assert completion.model_names(context, "di") == ["digits"]
    assert completion.model_names(context, "digits") == ["digits", "digits:1"]


def test_where_there_is_no_workspace_nothing_is_completed(context, tmp_path):
    context.params["workspace"] = tmp_path / "none"
    assert completion.dataset_names(context, "") == []
