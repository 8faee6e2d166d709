"""What preview knows of a dataset before it is registered again."""

import os

import pytest
from tests.core.file_server import file_server

from trainstack.core.datasets.dataset import DatasetSpec, find_drift, mark_drift, register
from trainstack.core.datasets.expected import expect
from trainstack.core.datasets.spec import DatasetOutputs
from trainstack.core.workspace.workspace import Workspace


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with file_server() as running:
        running.add("page.txt", b"a page")
        yield running


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("1")
    return tmp_path / "data"


def test_local_files_are_known_before_they_are_registered(workspace, folder):
    spec = DatasetSpec(name="numbers", paths=(str(folder),))
    expected = expect(None, spec).outputs
    record = register(workspace, spec)
    assert expected == {"digest": record.digest, "files": {"a.txt": record.files[0].sha256}, "file_count": 1}


def test_registered_content_is_known_with_its_version(workspace, folder, server):
    spec = DatasetSpec(name="mixed", paths=(str(folder),), urls=(server.url("page.txt"),))
    outputs = DatasetOutputs.of(workspace, register(workspace, spec)).model_dump()
    described = spec.model_copy(update={"description": "both"})
    for expected in (expect(workspace, spec).outputs, expect(workspace, described).outputs):
        assert expected == {name: outputs[name] for name in ("digest", "files", "file_count", "version")}


def test_what_only_the_web_can_tell_is_not_known(workspace, server):
    assert expect(workspace, DatasetSpec(name="page", urls=(server.url("page.txt"),))).outputs == {}


def test_drifted_content_is_unknown_until_it_is_registered(workspace, server):
    spec = DatasetSpec(name="page", urls=(server.url("page.txt"),))
    record = register(workspace, spec)
    server.add("page.txt", os.urandom(9))
    drift = find_drift(workspace, record)
    assert drift.differences
    mark_drift(workspace, record, drift)
    assert expect(workspace, spec).outputs == {}
    second = register(workspace, spec, check_remote=True)
    assert expect(workspace, spec).outputs["version"] == second.version == 2


def test_a_lost_copy_makes_remote_content_unknown(workspace, server):
    spec = DatasetSpec(name="page", urls=(server.url("page.txt"),))
    record = register(workspace, spec)
    workspace.blobs.path(record.files[0].sha256).unlink()
    assert expect(workspace, spec).outputs == {}
