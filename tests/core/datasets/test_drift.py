"""Whether a dataset is still what its sources have: seen without downloading, and mended by registering again."""

import hashlib
import os

import pytest
from tests.core.file_server import file_server

from trainstack.core.datasets.dataset import DatasetSpec, Drift, find_drift, register
from trainstack.core.workspace.workspace import Workspace

IMAGES, LABELS = os.urandom(400_000), os.urandom(50_000)


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No proxy, and nobody's ~/.netrc or cache."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server():
    with file_server() as running:
        running.add("images.gz", IMAGES)
        running.add("labels.gz", LABELS)
        yield running


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def spec(server):
    return DatasetSpec(name="mnist", urls=(server.url("images.gz"), server.url("labels.gz")))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "a.csv").write_text("a")
    (root / "deep" / "b.csv").write_text("b")
    return root


def blob(workspace, content):
    return workspace.blobs.path(hashlib.sha256(content).hexdigest())


def test_unchanged_sources_are_no_drift_and_send_nothing(workspace, spec, server):
    record = register(workspace, spec)
    server.forget()
    assert find_drift(workspace, record) == Drift()
    assert sorted((request.path, request.status) for request in server.requests) == [
        ("images.gz", 304),
        ("labels.gz", 304),
    ]
    assert server.sent == 0


def test_changed_web_file_drifts_until_registered(workspace, spec, server):
    record = register(workspace, spec)
    before = server.files["labels.gz"].tag
    server.add("labels.gz", b"other", modified=1_700_000_100)
    found = find_drift(workspace, record)
    after = server.files["labels.gz"].tag
    assert found == Drift((f"labels.gz changed at {server.url('labels.gz')}: its ETag was {before}, is {after}",), ())
    second = register(workspace, spec, check_remote=True)
    assert find_drift(workspace, second) == Drift()


def test_a_token_in_an_address_is_not_shown(workspace, server):
    record = register(workspace, DatasetSpec(name="x", urls=(server.url("labels.gz") + "?token=secret",)))
    server.add("labels.gz", b"other", modified=1_700_000_100)
    found = find_drift(workspace, record)
    assert len(found.differences) == 1
    server.files.clear()
    found = Drift(found.differences, find_drift(workspace, record).warnings)
    assert len(found.warnings) == 1
    assert "secret" not in str(found)


def test_a_source_that_cannot_be_reached_is_a_warning(workspace, spec, server):
    record = register(workspace, spec)
    server.files["images.gz"].failures = [404]
    assert find_drift(workspace, record) == Drift(
        (), (f"images.gz could not be checked at {server.url('images.gz')}: 404 Not Found",)
    )
    server.close()
    found = find_drift(workspace, record)
    assert found.differences == ()
    assert [line.rpartition(": ")[2] for line in found.warnings] == ["connection refused"] * 2


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_lost_copy_is_a_difference_and_registering_mends_it(workspace, spec, damage):
    record = register(workspace, spec)
    path = blob(workspace, LABELS)
    path.chmod(0o644)
    if damage == "gone":
        path.unlink()
    else:
        # Another byte whatever it was: random content ends with any fixed byte once in 256 runs.
        path.write_bytes(LABELS[:-1] + bytes([LABELS[-1] ^ 1]))
    assert find_drift(workspace, record) == Drift((f"labels.gz: the workspace's copy is {damage}",), ())
    assert find_drift(workspace, register(workspace, spec, check_remote=True)) == Drift()


def test_local_files_that_changed_came_or_went_are_differences(workspace, folder):
    spec = DatasetSpec(name="local", paths=(str(folder),))
    record = register(workspace, spec)
    assert find_drift(workspace, record) == Drift()
    (folder / "a.csv").write_text("changed")
    (folder / "deep" / "b.csv").unlink()
    (folder / "new.csv").write_text("new")
    assert find_drift(workspace, record) == Drift(
        (
            "deep/b.csv is gone from its folder",
            f"a.csv changed: {folder}/a.csv",
            f"new.csv is new: {folder}/new.csv",
        ),
        (),
    )
    assert find_drift(workspace, register(workspace, spec)) == Drift()


def test_a_local_folder_that_is_gone_is_a_warning(workspace, folder):
    record = register(workspace, DatasetSpec(name="local", paths=(str(folder),)))
    folder.rename(folder.with_name("elsewhere"))
    found = find_drift(workspace, record)
    assert found.differences == ()
    assert found.warnings == (
        f"local files could not be checked: no file or folder '{folder}': name one, or a glob that matches some",
    )


def test_another_checkout_looks_at_its_own_paths(workspace, folder):
    record = register(workspace, DatasetSpec(name="local", paths=(str(folder),)))
    moved = folder.with_name("elsewhere")
    folder.rename(moved)
    here = DatasetSpec(name="local", paths=(str(moved),))
    assert find_drift(workspace, record, here) == Drift()
    (moved / "a.csv").write_text("changed")
    assert find_drift(workspace, record, here).differences == (f"a.csv changed: {moved}/a.csv",)
