"""A workspace, a script's folder, and requests to run it; modules with other needs have fixtures of their own."""

import pytest
from tests.core.sample_runs import SCRIPT, request, tiny_environment

from trainstack.core.runs.fields import RunSettings
from trainstack.core.workspace.workspace import Workspace


@pytest.fixture(scope="session")
def packages():
    return tiny_environment()


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def request_for(packages, source):
    """Makes a request; what is not about how to run is part of what the run is."""

    def make(arguments=None, *, compute=None, **given):
        how = {name: given.pop(name) for name in ("timeout", "grace", *RunSettings.model_fields) if name in given}
        return request(packages, source, arguments, compute=compute, parts=given, **how)

    return make
