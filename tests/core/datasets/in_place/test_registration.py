"""Data in an object store is registered from its listing, and noticed when it changes."""

import json
import os

import obstore
import pytest
from tests.faulty_proxy import Fault

from trainstack.core.datasets.dataset import DatasetSpec, contents, find, find_drift, register, to_path
from trainstack.core.datasets.dataset_record import object_files
from trainstack.core.datasets.expected import expect
from trainstack.core.datasets.in_place import manifest, preview, registration
from trainstack.core.datasets.in_place.datastore import DatastoreSpec
from trainstack.core.maintenance import fsck, gc, purge
from trainstack.errors import InvalidInputError, TrainstackError


def spec(*paths, **others):
    return DatasetSpec(name="photos", paths=paths, **others)


def requests_of(proxy, method):
    return [request for request in proxy.requests if request.method == method and "list-type" not in request.path]


def test_a_folder_is_registered_without_reading_an_object(workspace, photos, proxy):
    record = register(workspace, spec(photos))
    assert to_path(workspace, record) == ["/test/c.png", "/train/a.png", "/train/b.png"]
    assert (record.version, record.file_count, record.size, record.files) == (1, 3, 3000, ())
    assert requests_of(proxy, "GET") == []


@pytest.mark.parametrize(
    ("below", "names"),
    [
        ("", ["test/c.png", "train/a.png", "train/b.png"]),
        ("/", ["test/c.png", "train/a.png", "train/b.png"]),
        ("/train", ["a.png", "b.png"]),
        ("/train/a.png", ["a.png"]),
        ("/train/*.png", ["a.png", "b.png"]),
        ("/*/[ac].png", ["test/c.png", "train/a.png"]),
        ("/**", ["test/c.png", "train/a.png", "train/b.png"]),
        ("/**/a.png", ["train/a.png"]),
        ("/*/?.png", ["test/c.png", "train/a.png", "train/b.png"]),
    ],
)
def test_objects_are_named_as_local_files_are(workspace, photos, below, names):
    assert sorted(contents(workspace, register(workspace, spec(f"{photos}{below}")))) == names


def test_the_same_listing_is_the_same_version_wherever_it_lies(workspace, bucket_address, put, photos):
    first = register(workspace, spec(photos))
    for name in ("train/a.png", "train/b.png", "test/c.png"):
        obstore.copy(put.store, f"photos/{name}", f"copy/{name}")
    second = register(workspace, spec(f"{bucket_address}/copy"))
    assert (second.version, second.digest) == (1, first.digest)


def test_registering_again_asks_nothing(workspace, photos, proxy):
    first = register(workspace, spec(photos))
    proxy.requests.clear()
    assert register(workspace, spec(photos)) == first
    assert proxy.requests == []


def test_what_changed_becomes_the_next_version(workspace, photos, put):
    first = register(workspace, spec(photos))
    put(**{"photos/train/a.png": b"other", "photos/new.png": b"new"})
    obstore.delete(put.store, "photos/test/c.png")
    seen = expect(workspace, spec(photos))
    assert seen.changes == "1 changed (train/a.png); 1 added (new.png); 1 removed (test/c.png)"
    second = register(workspace, spec(photos), objects=seen.outputs["objects"])
    assert (second.version, second.digest) == (2, seen.outputs["digest"])
    assert find(workspace, "photos", 1) == first


def test_preview_knows_an_unchanged_version_by_one_listing(workspace, photos, proxy):
    record = register(workspace, spec(photos))
    proxy.requests.clear()
    seen = expect(workspace, spec(photos))
    assert (seen.outputs["version"], seen.outputs["digest"], seen.changes) == (1, record.digest, "")
    assert seen.outputs["files"] == contents(workspace, record)
    assert len(proxy.requests) == 1


def test_refresh_names_what_changed(workspace, photos, put):
    record = register(workspace, spec(photos))
    assert find_drift(workspace, record).differences == ()
    put(**{"photos/train/a.png": b"other"})
    [line] = find_drift(workspace, record).differences
    assert line == f"objects at {photos}: 1 changed (train/a.png)"


def test_preview_of_a_large_dataset_lists_nothing_once_it_is_registered(workspace, photos, proxy, monkeypatch):
    monkeypatch.setattr(preview, "OBJECTS", 2)
    assert expect(workspace, spec(photos)).outputs == {}
    record = register(workspace, spec(photos))
    proxy.requests.clear()
    seen = expect(workspace, spec(photos))
    assert seen.outputs["digest"] == record.digest
    assert "3 objects are not listed in a preview" in seen.note
    assert proxy.requests == []


def test_a_store_that_does_not_answer_leaves_preview_with_what_is_registered(workspace, photos, proxy, monkeypatch):
    monkeypatch.setattr(preview, "_PATIENCE", 0.2)
    record = register(workspace, spec(photos))
    proxy.always(Fault(status=503, code="SlowDown"))
    seen = expect(workspace, spec(photos))
    assert seen.outputs["digest"] == record.digest
    assert "not looked at" in seen.note
    assert "\n" not in seen.note


def test_the_list_is_kept_in_shards(workspace, photos, monkeypatch):
    monkeypatch.setattr(manifest, "SHARD_OBJECTS", 2)
    record = register(workspace, spec(photos))
    assert record.objects is not None
    assert len(record.objects.shards) == 2
    assert [entry.path for entry in object_files(workspace, record)] == ["test/c.png", "train/a.png", "train/b.png"]


def test_gc_and_fsck_know_the_list(workspace, photos):
    record = register(workspace, spec(photos))
    assert gc.collect(workspace) == []
    assert fsck.verify(workspace).damages == []
    [shard] = record.objects.shards if record.objects else []
    workspace.blobs.path(shard).unlink()
    [damage] = fsck.verify(workspace).damages
    assert (damage.name, damage.problem) == ("photos version 1: list of objects 1", "gone")
    assert find_drift(workspace, record).differences == ("the workspace's list of its objects is gone or damaged",)
    assert register(workspace, spec(photos)).digest == record.digest
    assert fsck.verify(workspace).damages == []


def test_no_removal_touches_the_source(workspace, photos, put, proxy):
    register(workspace, spec(photos))
    put(**{"photos/train/a.png": b"other"})
    register(workspace, spec(photos), check_remote=True)
    purge.purge(workspace, purge.datasets(workspace, "photos"))
    assert [garbage.kind for garbage in gc.collect(workspace)] == ["blob", "blob"]
    assert {request.method for request in proxy.requests} <= {"GET", "HEAD"}


def test_objects_stand_beside_files_of_this_machine(workspace, photos, tmp_path):
    (tmp_path / "labels.csv").write_text("a,1")
    record = register(workspace, spec(f"{photos}/train", str(tmp_path / "labels.csv")))
    assert to_path(workspace, record) == ["/a.png", "/b.png", "/labels.csv"]
    assert record.digest == expect(workspace, spec(f"{photos}/train", str(tmp_path / "labels.csv"))).outputs["digest"]


def test_a_datastore_names_another_server(workspace, photos, proxy, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = DatastoreSpec(root=photos.rpartition("/")[0], endpoint=proxy.url)
    record = register(workspace, spec(photos, datastores=(store,)))
    assert record.file_count == 3
    assert record.objects is not None
    assert record.objects.datastores == (store,)


def test_requester_pays_and_anonymous_reach_the_server(workspace, photos, proxy):
    root = photos.rpartition("/")[0]
    register(workspace, spec(photos, datastores=(DatastoreSpec(root=root, requester_pays=True),)))
    assert proxy.requests[-1].headers["x-amz-request-payer"] == "requester"
    with pytest.raises(TrainstackError, match="not allowed without credentials"):
        register(workspace, spec(f"{photos}/train", datastores=(DatastoreSpec(root=root, anonymous=True),)))
    assert "authorization" not in proxy.requests[-1].headers


def test_no_credential_is_written(workspace, photos):
    register(workspace, spec(photos))
    secrets = [os.environ["AWS_SECRET_ACCESS_KEY"].encode(), b"authorization", b"X-Amz-Signature"]
    for path in workspace.root.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets)


def test_version_ids_of_a_versioned_bucket_are_kept(workspace, photos, proxy, monkeypatch):
    asked = []

    def head(store, key):
        meta = obstore_head(store, key)
        asked.append(key)
        return {**meta, "version": f"v-{key[-5]}"}

    obstore_head = obstore.head
    monkeypatch.setattr(obstore, "head", head)
    entries = object_files(workspace, register(workspace, spec(photos)))
    assert [entry.version for entry in entries] == ["v-c", "v-a", "v-b"]
    monkeypatch.setattr(registration, "PINNED_OBJECTS", 2)
    asked.clear()
    register(workspace, spec(photos), check_remote=True)
    assert asked == []


def test_a_manifest_that_leads_out_is_refused(workspace, photos):
    record = register(workspace, spec(photos))
    assert record.objects is not None
    line = json.dumps(["../../evil", "s3://b", "k", 1, '"e"', ""]).encode()
    shard = workspace.blobs.put(line)
    damaged = record.model_copy(update={"objects": record.objects.model_copy(update={"shards": (shard,)})})
    with pytest.raises(TrainstackError, match="outside of its folder"):
        object_files(workspace, damaged)


def test_create_new_version_off_refuses_other_objects(workspace, photos, put):
    register(workspace, spec(photos))
    put(**{"photos/train/a.png": b"other"})
    with pytest.raises(TrainstackError, match=r"train/a.png changed\) and create_new_version is off"):
        register(workspace, spec(photos, create_new_version=False), check_remote=True)


def test_promises_for_objects_are_refused(workspace, photos):
    with pytest.raises(InvalidInputError, match="an object stays where it is"):
        register(workspace, spec(photos, sha256={"train/a.png": "0" * 64}))
