"""A workspace, a script's folder, and requests to run it; modules with other needs have fixtures of their own."""

from pathlib import Path

import pytest
from tests.core.sample_runs import SCRIPT, request, tiny_environment

from trainstack.core.replication import shared
from trainstack.core.runs.fields import RunSettings
from trainstack.core.workspace import origin
from trainstack.core.workspace.workspace import Workspace


@pytest.fixture(scope="session")
def packages():
    return tiny_environment()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that is nobody else's."""
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


@pytest.fixture
def machine(bucket_address, monkeypatch, tmp_path):
    """Makes this process another machine, and returns the workspace's address as a path."""

    def become(name):
        monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / name))
        monkeypatch.setattr(shared, "_pulled", set())
        for cached in (origin._opened, origin._blobs):
            cached.cache_clear()
        return Path(bucket_address)

    return become
