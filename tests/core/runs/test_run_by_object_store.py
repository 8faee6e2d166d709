"""Runs on a real cluster whose code, data and outputs pass through a real S3 server."""

import contextlib
import hashlib
import json
import os
import urllib.error
import urllib.request

import pytest
from tests.core.kubernetes_runs import (
    CLUSTER,
    delete_pod,
    jobs,
    left,
    needs_cluster,
    pods,
    reachable_endpoint,
    registry,
)
from tests.core.sample_runs import printed
from tests.waiting import until

from trainstack.core.compute import compute
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.storage.object_store.presigned import PresignedStore

URL = "s3://trainstack/tests"
SECONDS = 90.0
needs_store = pytest.mark.skipif(not os.environ.get("AWS_ENDPOINT_URL"), reason="AWS_ENDPOINT_URL names no S3 server")
pytestmark = [needs_cluster, needs_store, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def reachable(monkeypatch):
    """The server's address as pods know it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", reachable_endpoint())


def by_store(**changes):
    given = {"name": "cluster", "target": "kubernetes", "config": CLUSTER, "vm_size": "STANDARD_D1_V2"}
    return ComputeSpec(**{**given, "max_nodes": 2, "object_store": URL, **changes})


def names(folder=""):
    import obstore

    return {each["path"]: each for each in obstore.list(PresignedStore(f"{URL}/transfer")._store, folder).collect()}


@pytest.fixture
def started(workspace, source, request_for):
    runs = []

    def submit(arguments=None, *, compute=None, **given):
        request = request_for(arguments, compute=compute or by_store(), **given)
        found = submission.submit(workspace, request.model_copy(update={"registry": registry()}), source, {}).directory
        runs.append(found)
        return found

    yield submit
    for run in [run for run in runs if run.root.is_dir()]:
        with contextlib.suppress(Exception):
            submission.stop(run, "the test is over")
        until(lambda run=run: not run.has_supervisor(), SECONDS)


WRITES = """
import hashlib, os, pathlib, sys
data = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(1 << 16)) * 20
pathlib.Path("outputs/large").write_bytes(data)
print("large", hashlib.sha256(data).hexdigest(), flush=True)
"""


def test_the_store_transfers_code_and_outputs_and_keeps_nothing(started, source):
    (source / "train.py").write_text(WRITES)
    run = started()
    assert submission.follow(run).status is Status.COMPLETED
    said = run.merged_log.read_text().split()[-1]
    assert hashlib.sha256((run.outputs / "large").read_bytes()).hexdigest() == said
    until(lambda: not run.has_supervisor(), SECONDS)
    assert not left(run)
    assert not names("runs")
    before = names("content")
    assert before

    # The same code again is there already: what is new is its plan, and what the run has written.
    again = started({"--again": 1})
    assert submission.follow(again).status is Status.COMPLETED
    after = names("content")
    assert all(after[name]["last_modified"] == each["last_modified"] for name, each in before.items())


def test_neither_job_nor_pod_has_anything_that_opens_the_store(started):
    run = started({"--steps": 600, "--pause": 0.1})
    until(lambda: printed(run, "step 5") or run.read().status.ended, SECONDS)
    kept = json.dumps([jobs(run), pods(run)])
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in kept
    assert "X-Amz-Signature" not in kept
    submission.stop(run, "seen enough")


def test_an_attempt_after_a_deleted_pod_has_its_checkpoint(started):
    run = started({"--steps": 60, "--pause": 0.1}, max_attempts=2, backoff=0)
    until(lambda: (run.checkpoints / "step").is_file() and int((run.checkpoints / "step").read_text()) >= 3, SECONDS)
    delete_pod(run, 0, grace=0)
    record = submission.follow(run)
    assert (record.status, record.attempt) == (Status.COMPLETED, 2)
    starts = [int(line.split()[-1]) for line in run.merged_log.read_text().splitlines() if "starting" in line]
    assert starts[0] == 0
    assert starts[1] >= 3


def test_an_unreachable_or_absent_store_is_an_error_of_one_line(monkeypatch):
    compute.holding(by_store())
    with pytest.raises(TrainstackError, match=r"s3://no-such-bucket: there is no bucket"):
        PresignedStore("s3://no-such-bucket").put_content("0" * 64, lambda: [b"x"])
    with pytest.raises(InvalidInputError, match="write s3://BUCKET"):
        compute.check(by_store(object_store="bucket"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    with pytest.raises(InvalidInputError, match="which pods cannot reach"):
        compute.check(by_store())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.2:1")
    with pytest.raises(TrainstackError, match=r"http://192\.0\.2\.2:1 does not answer") as caught:
        PresignedStore(URL).check()
    assert "\n" not in str(caught.value)


def test_an_address_that_is_signed_opens_one_object():
    store = PresignedStore(URL)
    address = store.put_content("f" * 64, lambda: [b"what is given"])
    assert urllib.request.urlopen(address).read() == b"what is given"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(address.replace("f" * 64, "e" * 64))
