"""A run reads data that stays in its object store."""

import json
import os
from datetime import timedelta
from typing import Literal

import obstore
import pytest
from tests.core.docker_runs import needs_engine
from tests.waiting import until

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.datasets.dataset import DatasetSpec, register
from trainstack.core.runs.directory import Status
from trainstack.core.runs.events import read_events
from trainstack.core.runs.execution import submission
from trainstack.core.runs.request import DatasetReference
from trainstack.storage.object_store.connection import connect

SCRIPT = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[2])
pathlib.Path("outputs/sum").write_text(str(sum(path.stat().st_size for path in folder.rglob("*.png"))))
pathlib.Path("outputs/names").write_text(repr(sorted(name for name in os.environ if name.startswith("AWS_"))))
"""


@pytest.fixture
def bucket(bucket_address):
    store = connect(bucket_address, timeout=timedelta(seconds=20), retries=3)
    for name in ("a.png", "deep/b.png"):
        obstore.put(store, f"photos/{name}", os.urandom(1000))
    return store


@pytest.fixture
def run(workspace, source, request_for, bucket, bucket_address):
    """Registers the photos unless they are registered, and trains on them."""
    (source / "train.py").write_text(SCRIPT)

    def train(mode: Literal["mount", "download"] = "mount", trigger="", **compute):
        record = register(workspace, DatasetSpec(name="photos", paths=(f"{bucket_address}/photos",)))
        request = request_for(
            {"--data": "${dataset:photos}"},
            compute=ComputeSpec(name="local", max_nodes=2, **compute),
            datasets={"photos": record.digest},
            trigger=trigger,
        )
        reference = DatasetReference(name="photos", version=record.version, mode=mode, digest=record.digest)
        request = request.model_copy(update={"datasets": {"photos": reference}})
        run = submission.submit(workspace, request, source, {}).directory
        until(lambda: run.read().status.ended)
        return run

    return train


@pytest.mark.parametrize("mode", ["mount", "download"])
def test_a_run_reads_objects_and_leaves_none(run, mode):
    directory = run(mode)
    assert directory.read().status is Status.COMPLETED, directory.read().reason
    assert (directory.outputs / "sum").read_text() == "2000"
    assert (directory.outputs / "names").read_text() == "[]"
    [given] = [event for event in read_events(directory.root) if event["kind"] == "data"]
    assert (given["mode"], given["objects"], given["fetched"]) == (mode, 2, 2)
    assert not [path for path in directory.data.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in directory.root.rglob("*") if path.is_file())
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in written


def test_the_second_run_fetches_nothing(run):
    run()
    directory = run(trigger="again")
    [given] = [event for event in read_events(directory.root) if event["kind"] == "data"]
    assert given["fetched"] == 0


def test_a_run_of_overwritten_data_fails_with_the_objects_name(run, workspace, bucket, bucket_address):
    register(workspace, DatasetSpec(name="photos", paths=(f"{bucket_address}/photos",)))
    obstore.put(bucket, "photos/deep/b.png", b"other")
    record = run().read()
    assert record.status is Status.FAILED
    assert f"{bucket_address}/photos/deep/b.png is not what version 1 of dataset 'photos' has any more" in record.reason


def test_a_run_that_needs_more_than_the_cache_holds_says_so(run):
    assert "raise cache_gib of the compute" in run(cache_gib=1e-6).read().reason


def test_a_script_that_writes_through_its_link_fails(run, source):
    (source / "train.py").write_text(
        "import os, pathlib, sys\n"
        "path = next(pathlib.Path(sys.argv[2]).rglob('a.png'))\n"
        "os.chmod(path, 0o644)\n"
        "path.write_bytes(b'other')\n"
    )
    record = run().read()
    assert record.status is Status.FAILED
    assert "data/photos/a.png changed while it ran" in json.dumps(record.reason)


@needs_engine
@pytest.mark.timeout(180)
def test_a_container_is_sent_the_objects(run):
    directory = run(target="docker")
    assert directory.read().status is Status.COMPLETED, directory.read().reason
    assert (directory.outputs / "sum").read_text() == "2000"
    assert (directory.outputs / "names").read_text() == "[]"
