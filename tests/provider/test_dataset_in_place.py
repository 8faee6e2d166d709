"""The dataset's resource over objects of a real store: what preview says, what the update does, what state holds."""

import json
import os
from datetime import timedelta

import obstore
import pytest

from trainstack.core.workspace.workspace import Workspace
from trainstack.provider import dataset as dataset_provider
from trainstack.provider.dataset import DatasetProvider
from trainstack.storage.object_store.connection import connect


@pytest.fixture
def inputs(bucket_address, monkeypatch, tmp_path):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    monkeypatch.chdir(tmp_path)
    Workspace.create(tmp_path / "ws", "ws")
    store = connect(bucket_address, timeout=timedelta(seconds=20), retries=3)
    obstore.put(store, "photos/a.png", b"1")
    obstore.put(store, "photos/b.png", b"2")
    return {"name": "photos", "workspace": str(tmp_path / "ws"), "paths": [f"{bucket_address}/photos"]}


@pytest.fixture
def lines(monkeypatch):
    """What the resource says in its row."""
    written = []
    monkeypatch.setattr(dataset_provider.log_of({}).__class__, "info", lambda _self, text: written.append(text))
    return written


@pytest.fixture
def put(bucket_address):
    store = connect(bucket_address, timeout=timedelta(seconds=20), retries=3)
    return lambda name, content: obstore.put(store, name, content)


def checked(inputs):
    result = DatasetProvider().check({}, inputs)
    assert [failure.reason for failure in result.failures] == []
    return result.inputs


def test_preview_knows_what_the_update_will_register(inputs):
    previewed = checked(inputs)
    state = DatasetProvider().create(previewed).outs or {}
    assert {name: state[name] for name in ("digest", "files", "file_count")} == {
        name: previewed[name] for name in ("digest", "files", "file_count")
    }
    assert not DatasetProvider().diff("photos", state, checked(inputs)).changes
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in json.dumps(state)


def test_preview_says_what_changed_and_the_update_registers_it(inputs, put, lines):
    state = DatasetProvider().create(checked(inputs)).outs or {}
    put("photos/a.png", b"other")
    put("photos/c.png", b"3")
    lines.clear()
    news = checked(inputs)
    assert lines == ["data in place: 1 changed (a.png); 1 added (c.png)"]
    assert DatasetProvider().diff("photos", state, news).changes
    updated = DatasetProvider().update("photos", state, news).outs or {}
    assert (updated["version"], updated["file_count"]) == (2, 3)
    assert not DatasetProvider().diff("photos", updated, checked(inputs)).changes


def test_what_changed_after_preview_is_registered_as_it_is(inputs, put):
    previewed = checked(inputs)
    put("photos/a.png", b"other")
    state = DatasetProvider().create(previewed).outs or {}
    assert state["objects"] != previewed["objects"]
    assert not DatasetProvider().diff("photos", state, checked(inputs)).changes


def test_refresh_sees_objects_that_were_overwritten(inputs, put):
    state = DatasetProvider().create(checked(inputs)).outs or {}
    put("photos/a.png", b"other")
    refreshed = DatasetProvider().read("photos", state).outs or {}
    [line] = refreshed["drift"]
    assert "1 changed (a.png)" in line


def test_a_glob_without_a_match_fails_in_preview(inputs, bucket_address):
    [failure] = DatasetProvider().check({}, {**inputs, "paths": [f"{bucket_address}/photos/*.jpg"]}).failures
    assert failure.reason.startswith("no object matches")


def test_a_datastore_option_that_does_not_exist_fails_in_preview(inputs):
    stores = [{"root": "s3://trainstack", "secret_key": "x"}]
    [failure] = DatasetProvider().check({}, {**inputs, "datastores": stores}).failures
    assert "datastores.0.secret_key" in failure.reason
