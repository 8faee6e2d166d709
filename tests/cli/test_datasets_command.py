"""`datasets show`, `datasets diff` and `datasets list --sizes`."""

import json
from datetime import timedelta

import obstore
import pytest
from tests.core.sample_runs import WRITTEN

from trainstack.core.datasets.dataset import DatasetSpec, register
from trainstack.core.datasets.dataset_record import object_files
from trainstack.core.datasets.in_place.lending import lend_objects
from trainstack.core.datasets.in_place.node_cache import NodeCache
from trainstack.core.datasets.in_place.object_reader import ObjectReader
from trainstack.core.runs.directory import RunDirectory
from trainstack.storage.object_store.connection import connect


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def points(workspace, folder):
    """Two versions of a dataset."""
    for version in ({"a": "1", "b": "2"}, {"b": "3", "c": "4"}):
        for path in folder.iterdir():
            path.unlink()
        for name, text in version.items():
            (folder / name).write_text(text)
        register(workspace, DatasetSpec(name="points", paths=(str(folder),), description="[b]rows"))


@pytest.fixture
def runs(workspace):
    """Writes the request of a run that was given the second version of the points."""

    def write(name, digest):
        run = RunDirectory(workspace.run("0123456789abcdef"))
        run.root.mkdir(parents=True)
        spec = {"script": "train.py", "files": {}, "environment": {"digest": "e" * 64}, "datasets": {"points": digest}}
        reference = {"name": "points", "version": 2, "mode": "mount", "digest": digest}
        request = {**WRITTEN, "name": name, "spec": spec, "datasets": {"points": reference}}
        (run.root / "spec.json").write_text(json.dumps(request))
        return run

    return write


def test_two_versions_are_told_apart_by_file(points, cli, json_output):
    assert json_output("datasets", "diff", "points:1", "points") == {
        "changed": ["b"],
        "added": ["c"],
        "removed": ["a"],
    }
    assert [line.split() for line in cli("datasets", "diff", "points:1", "points:2").stdout.splitlines()] == [
        ["changed", "b"],
        ["added", "c"],
        ["removed", "a"],
    ]
    assert cli("datasets", "diff", "points", "points:2").stdout == "points and points:2 have the same files\n"


def test_a_version_that_is_not_there_is_named(points, cli):
    result = cli("datasets", "show", "points:7")
    assert result.exit_code == 1
    assert "dataset 'points' has no version 7: it has 1, 2" in result.stderr
    assert cli("datasets", "show", "points:x").exit_code == 2


def test_a_version_is_shown_with_its_files(points, cli, json_output):
    shown = json_output("datasets", "show", "points:1")
    assert (shown["version"], sorted(shown["files"]), shown["bytes"]) == (1, ["a", "b"], 2)
    text = cli("datasets", "show", "points").stdout
    assert "points version 2" in text
    assert "[b]rows" in text
    assert "Comes from" not in text


def test_lineage_goes_from_data_over_runs_to_data(workspace, folder, points, runs, cli, json_output):
    digest = json_output("datasets", "show", "points:2")["digest"]
    run = runs("fit", digest)
    features = run.outputs / "features"
    features.mkdir(parents=True)
    (features / "f").write_text("5")
    register(workspace, DatasetSpec(name="features", paths=(str(features),)))
    lineage = json_output("datasets", "show", "features", "--lineage")["lineage"]
    assert [(each["kind"], each["name"], each["depth"]) for each in lineage["sources"]] == [
        ("run", "fit", 1),
        ("dataset", "points", 2),
        ("path", str(folder), 3),
    ]
    lineage = json_output("datasets", "show", "points:2", "--lineage")["lineage"]
    assert [(each["kind"], each["id"]) for each in lineage["results"]] == [("run", run.id), ("dataset", "features:1")]
    assert "nothing that is known" in cli("datasets", "show", "points:1", "--lineage").stdout


def test_sizes_say_where_the_bytes_are(workspace, bucket_address, tmp_path, json_output, cli):
    store = connect(bucket_address, timeout=timedelta(seconds=20), retries=3)
    obstore.put(store, "photos/a", b"12345")
    record = register(workspace, DatasetSpec(name="photos", paths=(f"{bucket_address}/photos",)))
    [listed] = json_output("datasets", "list", "--sizes")
    assert (listed["sizes"]["source"], listed["sizes"]["cache"]) == (5, 0)
    assert 0 < listed["sizes"]["workspace"] < 500
    reader, objects = ObjectReader("", ()), object_files(workspace, record)
    lend_objects(objects, tmp_path / "run", reader, "mount", label="", cache=NodeCache(), limit=10**6)
    [listed] = json_output("datasets", "list", "--sizes")
    assert listed["sizes"]["cache"] == 5
    assert "stays at its source" in cli("datasets", "list", "--sizes").stdout
