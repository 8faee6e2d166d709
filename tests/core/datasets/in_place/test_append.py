"""Objects that are appended share the lists of the version before."""

import pytest

from trainstack.core.datasets.dataset import DatasetSpec, contents, find_drift, register
from trainstack.core.datasets.dataset_record import object_files
from trainstack.core.datasets.expected import expect
from trainstack.core.datasets.in_place import preview
from trainstack.errors import InvalidInputError


@pytest.fixture
def days(bucket_address, put):
    put(**{"days/1/a.csv": b"1", "days/2/b.csv": b"2", "days/2/c.csv": b"3"})
    return f"{bucket_address}/days"


def spec(*paths, name="days"):
    return DatasetSpec(name=name, paths=paths, append=True)


def test_appended_objects_share_the_lists_of_the_version_before(workspace, days):
    first = register(workspace, spec(f"{days}/1"))
    seen = expect(workspace, spec(f"{days}/2"))
    assert seen.changes == "2 added (b.csv, c.csv)"
    second = register(workspace, spec(f"{days}/2"), objects=seen.outputs["objects"])
    assert first.objects is not None
    assert second.objects is not None
    assert second.objects.shards[0] == first.objects.shards[0]
    assert [entry.path for entry in object_files(workspace, second)] == ["a.csv", "b.csv", "c.csv"]
    assert (second.digest, second.appended_to) == (seen.outputs["digest"], 1)
    assert second.objects.sources == (f"{days}/1", f"{days}/2")
    assert find_drift(workspace, second).differences == ()


def test_appending_the_same_again_asks_nothing_new(workspace, days, proxy):
    register(workspace, spec(f"{days}/1"))
    second = register(workspace, spec(f"{days}/2"))
    proxy.requests.clear()
    assert register(workspace, spec(f"{days}/2")) == second
    assert proxy.requests == []
    assert expect(workspace, spec(f"{days}/2")).outputs["version"] == 2


def test_an_object_that_was_overwritten_is_not_appended(workspace, days, put):
    register(workspace, spec(days))
    put(**{"days/1/a.csv": b"other"})
    with pytest.raises(InvalidInputError, match=r"'1/a.csv' of dataset 'days' has changed since version 1"):
        expect(workspace, spec(days))


def test_a_growing_folder_is_appended(workspace, days, put):
    register(workspace, spec(days))
    put(**{"days/3/d.csv": b"4"})
    seen = expect(workspace, spec(days))
    record = register(workspace, spec(days), objects=seen.outputs["objects"])
    assert (record.version, record.file_count) == (2, 4)


def test_files_of_this_machine_are_appended_to_objects(workspace, days, tmp_path):
    register(workspace, spec(days))
    (tmp_path / "labels.csv").write_text("1")
    labels = spec(str(tmp_path / "labels.csv"))
    expected = expect(workspace, labels).outputs
    record = register(workspace, labels)
    assert (record.digest, contents(workspace, record)) == (expected["digest"], expected["files"])
    assert record.file_count == 4


def test_what_is_not_listed_of_an_appended_dataset_is_not_known(workspace, days, monkeypatch):
    register(workspace, spec(f"{days}/1"))
    register(workspace, spec(f"{days}/2"))
    monkeypatch.setattr(preview, "OBJECTS", 1)
    assert expect(workspace, spec(f"{days}/2")).outputs["version"] == 2
    assert "digest" not in expect(workspace, spec(days)).outputs
