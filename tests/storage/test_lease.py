"""One process at a time has a lease, on any number of machines; the one before cannot write any more."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.faulty_proxy import Fault

from trainstack.storage.folder_store import FolderStore
from trainstack.storage.lease import LeaseHeldError, LeaseLostError, acquire, held
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import VersionConflictError

NAME = "runs/0123456789abcdef"
RECORD = f"{NAME}/run.json"
BRIEF = 0.5


@pytest.fixture(params=["folder", "s3", "az"])
def store(request, tmp_path):
    if request.param == "folder":
        return FolderStore(tmp_path / "workspace")
    if request.param == "s3":
        return ObjectStore(request.getfixturevalue("bucket_address"))
    return ObjectStore(request.getfixturevalue("azure_folder"))


def content(store):
    return json.loads(store.get(RECORD).data)


def test_of_many_at_once_one_has_the_lease(store):
    start = threading.Barrier(16)

    def run(number):
        start.wait()
        try:
            return acquire(store, NAME, f"machine-{number}").owner
        except LeaseHeldError as error:
            return str(error)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(run, range(16)))
    (winner,) = (answer for answer in answers if " " not in answer)
    assert sum(answer.startswith(f"{winner} has the lease") for answer in answers) == 15


def test_a_released_lease_is_free_and_its_token_grows(store):
    tokens = []
    for owner in ("first", "second", "third"):
        with held(acquire(store, NAME, owner)) as lease:
            tokens.append(lease.token)
    assert tokens == [1, 2, 3]


def test_a_renewed_lease_is_not_taken(store):
    with held(acquire(store, NAME, "first", seconds=3)) as lease:
        with pytest.raises(LeaseHeldError, match="first has the lease"):
            acquire(store, NAME, "second", patience=4)
        lease.require()


def test_a_dead_owner_is_waited_out(store):
    acquire(store, NAME, "dead", seconds=BRIEF)
    assert acquire(store, NAME, "next", patience=60).token == 2


def test_a_lease_that_ran_out_unnoticed_goes_on(store):
    lease = acquire(store, NAME, "late", seconds=0.01)
    time.sleep(0.02)
    lease.require()
    assert acquire(store, NAME, "next", patience=60).token == 2


def test_who_lost_a_lease_is_told_when_it_asks(store):
    lease = acquire(store, NAME, "late", seconds=BRIEF)
    acquire(store, NAME, "next", patience=60)
    time.sleep(BRIEF)
    with pytest.raises(LeaseLostError, match="taken it over"):
        lease.require()


def test_a_claimed_record_is_closed_to_the_owner_before(store):
    first = acquire(store, NAME, "first", seconds=BRIEF)
    version = store.create(RECORD, b'{"status": "running"}')
    second = acquire(store, NAME, "second", patience=60)
    second.claim(RECORD)
    second.claim(RECORD)
    # The first one was paused just before it writes.
    with pytest.raises(VersionConflictError):
        store.replace(RECORD, b'{"status": "failed"}', version)
    with pytest.raises(LeaseLostError, match="taken it over"):
        first.claim(RECORD)
    assert content(store) == {"status": "running", "fencing_token": 2}


def test_a_late_claim_leaves_what_the_successor_made(store):
    first = acquire(store, NAME, "first", seconds=BRIEF)
    # Paused past its lease before it claims; the successor writes the record anew, as a finished run's is.
    second = acquire(store, NAME, "second", patience=5)
    version = store.create(RECORD, b'{"status": "completed"}')
    with pytest.raises(LeaseLostError):
        first.claim(RECORD)
    assert store.get(RECORD).version == version
    second.claim(RECORD)


def test_nothing_is_no_record_to_claim(store):
    acquire(store, NAME, "first").claim(RECORD)
    assert [item.key for item in store.list("runs")] == []


def test_a_stopped_process_loses_its_lease(store):
    script = f"""
import sys, time
from pathlib import Path
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.lease import acquire, held
from trainstack.storage.object_store.store import ObjectStore
store = ObjectStore(sys.argv[1]) if ":" in sys.argv[1] else FolderStore(Path(sys.argv[1]))
with held(acquire(store, {NAME!r}, "stopped", seconds={BRIEF})) as lease:
    while True:
        lease.require()
        print("driving", flush=True)
        time.sleep(0.05)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, store.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "driving\n"
        os.kill(process.pid, signal.SIGSTOP)
        with held(acquire(store, NAME, "next", patience=60)):
            os.kill(process.pid, signal.SIGCONT)
            _, error = process.communicate(timeout=60)
        assert "LeaseLostError: stopped has lost the lease" in error
    finally:
        process.kill()


@pytest.mark.parametrize(
    "fault", [Fault(status=503, code="SlowDown"), Fault(reset="after")], ids=["slow", "lost answer"]
)
def test_a_renewal_outlives_a_bad_moment_of_the_store(bucket_address, proxy, fault):
    lease = acquire(ObjectStore(bucket_address), NAME, "first")
    proxy.first(1, fault, "PUT")
    lease.renew()
    lease.renew()
    lease.require()
