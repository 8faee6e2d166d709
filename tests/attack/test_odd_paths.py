"""A workspace below a folder whose name means something in an address, or is no text."""

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from pulumi.runtime.rpc import UNKNOWN
from tests.core.sample_runs import request

from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.provider.workspace import WorkspaceProvider
from trainstack.storage.path_address import file_address

ODD = "a #1?b%20c\nd ü"
SCRIPT = """
import pathlib, mlflow
for step in range(3):
    mlflow.log_metric("loss", 1 / (step + 1), step=step)
pathlib.Path("outputs/weights").write_text("1")
"""


@pytest.mark.parametrize("name", ["#", "?", "%", "%20", "a b", "new\nline", "{rank}", os.fsdecode(b"caf\xe9")])
def test_an_address_leads_back_to_the_path(tmp_path, name):
    address = file_address(tmp_path / name)
    assert os.fsencode(url2pathname(urlsplit(address).path)) == os.fsencode(tmp_path / name) or "%E9" in address
    assert not set(" \n?#{}") & set(address)


def test_metrics_and_models_of_an_odd_folder_are_there(tmp_path):
    (tmp_path / ODD / "source").mkdir(parents=True)
    source = tmp_path / ODD / "source"
    (source / "train.py").write_text(SCRIPT)
    workspace = Workspace.create(tmp_path / ODD / "ws", "ws")
    spec = EnvironmentSpec.from_packages("logging", ["mlflow-skinny==3.17.2"])
    lock = environment.lock(spec)
    environment.build(spec, lock)
    run = submission.submit(workspace, request((spec, lock), source), source, {}).directory
    record = submission.follow(run)
    assert record.metrics == {"loss": pytest.approx(1 / 3)}
    registered = model.register(workspace, ModelSpec(name="m"), Path("outputs/weights"), run_id=run.id)
    assert Path(registered.path, "weights").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [ODD], "no stray folder"


def test_a_folder_that_is_no_text_is_refused_in_preview_in_one_line(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(InvalidInputError, match=r"caf\\xe9/ws is not UTF-8"):
        Workspace.create(folder / "ws", "ws")
    monkeypatch.chdir(folder)
    inputs = {"name": "ws", "root": ".trainstack/ws", "urn": UNKNOWN}
    [failure] = WorkspaceProvider().check({}, inputs).failures
    assert "is not UTF-8" in failure.reason
    assert "\n" not in failure.reason
