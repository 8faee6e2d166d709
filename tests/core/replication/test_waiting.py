"""Waiting for a run that another machine drives, on a real server."""

from pathlib import Path

from tests.waiting import until

from trainstack.core.replication import shared
from trainstack.core.replication.waiting import Waiting
from trainstack.core.runs.record import RunRecord, Stage, Status
from trainstack.storage.object_store.store import ObjectStore

RUN = "0123456789abcdef"


def record(status):
    stages = [Stage(name=status, started=1.0)] if not status.ended else []
    return RunRecord(id=RUN, name="fit", status=status, stages=stages, created=1.0, updated=1.0)


def test_whoever_waits_sees_what_the_run_does_until_the_wait_is_over(bucket_address, tmp_path):
    workspace = shared.created(Path(bucket_address), "team")
    store = ObjectStore(bucket_address)
    log = tmp_path / "run.txt"
    log.write_text("Epoch 1/9\n")
    store.upload(log, f"runs/{RUN}/logs/run.txt")
    version = store.create(f"runs/{RUN}/run.json", record(Status.RUNNING).model_dump_json().encode())
    lines = []
    with Waiting(workspace, RUN, lines.append) as waits:
        assert not lines
        waits.show("ci-7, process 12")
        assert lines == ["waits for ci-7, process 12"]
        until(lambda: any("Epoch 1/9" in line and line.endswith("driven by ci-7, process 12") for line in lines))
        log.write_text("Epoch 1/9\nEpoch 2/9\n")
        store.upload(log, f"runs/{RUN}/logs/run.txt")
        until(lambda: any("Epoch 2/9" in line for line in lines))
        store.replace(f"runs/{RUN}/run.json", record(Status.COMPLETED).model_dump_json().encode(), version)
        waits.end()
        told = len(lines)
    assert len(lines) == told
    assert not list((workspace.root / "cache" / "views").glob("*"))
