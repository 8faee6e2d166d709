"""A workspace is pushed to a store and pulled from it, whatever interrupts or harms either."""

import os
import secrets
from pathlib import Path

import pytest
from tests.core.sample_runs import WRITTEN
from tests.faulty_proxy import Fault

from trainstack.core.datasets import dataset, dataset_record
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.maintenance.fsck import verify
from trainstack.core.models import aliases, model
from trainstack.core.models.model import ModelSpec
from trainstack.core.replication.changes import push_changes
from trainstack.core.replication.copies import pull, push
from trainstack.core.runs import index
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, StoreUnreachableError, TrainstackError
from trainstack.storage.addresses import open_store
from trainstack.storage.atomic import write_json
from trainstack.storage.digest import of_bytes
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.object_store.store import ObjectStore
from trainstack.storage.store import blob_key

WEIGHTS = os.urandom(20_000)


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    if request.param == "folder":
        return open_store(str(tmp_path / "shared"))
    return open_store(request.getfixturevalue("bucket_address"))


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace with a dataset, a completed run, a failed one, and a model of the first."""
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    opened = Workspace.create(tmp_path / "workspace", "tests")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2,3")
    dataset.register(opened, DatasetSpec(name="data", paths=(str(tmp_path / "data"),)))
    trained(opened, "r1")
    model.register(opened, ModelSpec(name="net"), Path("outputs/model"), "r1")
    aliases.move(opened, "net", {"production": 1})
    trained(opened, "r2", status=Status.FAILED, outputs={})
    (opened.run("r2") / "checkpoints").mkdir()
    (opened.run("r2") / "checkpoints" / "ckpt-7").write_bytes(b"seven")
    return opened


def trained(workspace, run_id, **facts):
    """A run as its supervisor leaves it, with what belongs to this machine alone."""
    directory = RunDirectory(workspace.run(run_id))
    for name, data in {
        "outputs/model/weights": WEIGHTS,
        "logs/run.txt": b"step 1\n",
        "tracking/rank-0/metrics/loss": b"1 0.5 0\n",
        "code/t.py": b"code",
        "data/data/a.csv": b"1,2,3",
        "heartbeat": b"",
        "supervisor.txt": b"",
    }.items():
        (directory.root / name).parent.mkdir(parents=True, exist_ok=True)
        (directory.root / name).write_bytes(data)
    code = workspace.blobs.partial(secrets.token_hex(4))
    code.write_bytes(b"code")
    workspace.blobs.adopt(code, of_bytes(b"code"))
    spec = {"script": "t.py", "files": {"t.py": of_bytes(b"code")}, "environment": {"digest": "e" * 64}}
    write_json(directory.root / "spec.json", {"name": "fit", "spec": spec, **WRITTEN})
    directory.event("end", attempt=1, status="completed")
    record = {"name": "fit", "status": Status.COMPLETED, "created": 1.0, "updated": 1.0, "attempt": 1}
    outputs = {"model/weights": of_bytes(WEIGHTS)}
    directory.write(RunRecord(id=run_id, **{**record, "outputs": outputs, **facts}))
    return directory


def pulled(store, tmp_path, name="elsewhere"):
    return pull(store, tmp_path / name)


def run_json(workspace, run_id):
    return (workspace.run(run_id) / "run.json").read_bytes()


def whole(report):
    return (report.running, report.conflicts, report.damages) == ([], [], [])


def test_a_copy_is_the_same_workspace(workspace, store, tmp_path):
    assert whole(push(workspace, store))
    copy, report = pulled(store, tmp_path)
    assert whole(report)
    assert (copy.name, copy.id) == (workspace.name, workspace.id)
    assert [record.model_dump() for record in index.newest(copy)] == [r.model_dump() for r in index.newest(workspace)]
    assert dataset_record.list_datasets(copy) == dataset_record.list_datasets(workspace)
    assert [record.model_dump() for record in model.list_models(copy)] == [
        record.model_dump() for record in model.list_models(workspace)
    ]
    assert aliases.read(copy, "net") == {"production": 1}
    assert (copy.run("r1") / "outputs/model/weights").read_bytes() == WEIGHTS
    assert (copy.run("r2") / "checkpoints/ckpt-7").read_bytes() == b"seven"
    assert model.find_drift(copy, model.find(copy, "net")) == []
    assert verify(copy).damages == []
    assert (verify(copy).files, verify(copy).size) == (verify(workspace).files, verify(workspace).size)


def test_only_the_truth_is_copied(workspace, store):
    push(workspace, store)
    keys = {item.key for item in store.list() if not item.key.startswith(("blobs/", "locks/", "index/"))}
    assert keys == {
        "id",
        "workspace.json",
        "datasets/data/1.json",
        *(f"runs/r1/{name}" for name in ("run.json", "spec.json", "events.jsonl")),
        *(f"runs/r1/{name}" for name in ("outputs/model/weights", "logs/run.txt", "tracking/rank-0/metrics/loss")),
        *(f"runs/r2/{name}" for name in ("run.json", "spec.json", "events.jsonl", "checkpoints/ckpt-7")),
        *(f"runs/r2/{name}" for name in ("outputs/model/weights", "logs/run.txt", "tracking/rank-0/metrics/loss")),
        "models/net/1/model.json",
        "models/net/aliases.json",
        "models/net/aliases.jsonl",
    }


def test_a_second_copy_sends_nothing(workspace, store, tmp_path):
    push(workspace, store)
    copy, _ = pulled(store, tmp_path)
    for report in (push(workspace, store), pull(store, copy.root)[1], push(copy, store)):
        assert (report.files, report.size, whole(report)) == (0, 0, True)


def test_without_its_journal_a_copy_compares(workspace, store):
    push(workspace, store)
    [journal] = (workspace.root / "cache" / "copies").iterdir()
    journal.unlink()
    report = push(workspace, store)
    assert (report.files, whole(report)) == (0, True)


def test_what_is_new_goes_both_ways(workspace, store, tmp_path):
    push(workspace, store)
    copy, _ = pulled(store, tmp_path)
    trained(copy, "r3")
    assert whole(push(copy, store))
    aliases.move(workspace, "net", {"candidate": 1})
    assert whole(push(workspace, store))
    assert whole(pull(store, workspace.root)[1])
    assert whole(pull(store, copy.root)[1])
    for each in (workspace, copy):
        assert {record.id for record in index.newest(each)} == {"r1", "r2", "r3"}
        assert aliases.read(each, "net") == {"production": 1, "candidate": 1}


def test_a_run_that_went_on_replaces_its_copy(workspace, store, tmp_path):
    push(workspace, store)
    copy, _ = pulled(store, tmp_path)
    assert [record.status for record in index.newest(copy, name="fit") if record.id == "r2"] == [Status.FAILED]
    other = bytes(reversed(WEIGHTS))
    run = trained(workspace, "r2", outputs={"model/weights": of_bytes(other)})
    (run.outputs / "model" / "weights").write_bytes(other)
    assert whole(push(workspace, store))
    assert whole(pull(store, copy.root)[1])
    assert [record.status for record in index.newest(copy, name="fit") if record.id == "r2"] == [Status.COMPLETED]
    assert (copy.run("r2") / "outputs/model/weights").read_bytes() == other


def test_a_record_that_both_changed_is_left(workspace, store, tmp_path):
    push(workspace, store)
    copy, _ = pulled(store, tmp_path)
    aliases.move(workspace, "net", {"mine": 1})
    aliases.move(copy, "net", {"theirs": 1})
    trained(workspace, "r2", reason="one", outputs={})
    trained(copy, "r2", reason="two", outputs={})
    push(workspace, store)
    kept = store.get("models/net/aliases.json"), store.get("runs/r2/run.json")
    report = push(copy, store)
    assert report.conflicts == ["models/net/aliases.json", "models/net/aliases.jsonl", "runs/r2/run.json"]
    assert (store.get("models/net/aliases.json"), store.get("runs/r2/run.json")) == kept
    before = run_json(copy, "r2")
    assert pull(store, copy.root)[1].conflicts == report.conflicts
    assert run_json(copy, "r2") == before


def test_another_workspace_is_refused(workspace, store, tmp_path):
    push(workspace, store)
    same_name = Workspace.create(tmp_path / "second", "tests")
    for refused in (lambda: push(same_name, store), lambda: pull(store, same_name.root)):
        with pytest.raises(TrainstackError, match="has another workspace of that name"):
            refused()
    with pytest.raises(TrainstackError, match="is the workspace 'tests', not 'other'"):
        push(Workspace.create(tmp_path / "third", "other"), store)
    with pytest.raises(TrainstackError, match="is the workspace 'other', not 'tests'"):
        pull(store, tmp_path / "third")


def test_there_is_no_workspace_yet(store, tmp_path):
    with pytest.raises(NotFoundError, match=r"no workspace at .*trainstack workspace push"):
        pulled(store, tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_that_goes_on_is_left_out(workspace, store, tmp_path):
    run = RunDirectory(workspace.run("r2"))
    trained(workspace, "r2", status=Status.RUNNING, outputs={})
    with run.lock():
        report = push(workspace, store)
    assert (report.running, whole(push(workspace, store))) == (["runs/r2"], True)
    copy, _ = pulled(store, tmp_path)
    assert RunDirectory(copy.run("r2")).read().status is Status.INTERRUPTED


def test_harmed_content_here_stays_here(workspace, store, tmp_path):
    (workspace.run("r1") / "outputs/model/weights").write_bytes(b"harmed")
    blob = workspace.blobs.path(of_bytes(b"1,2,3"))
    blob.chmod(0o644)
    blob.write_bytes(b"3,2,1")
    report = push(workspace, store)
    assert any("outputs/model/weights has SHA-256" in damage for damage in report.damages)
    assert "runs/r1: outputs/model/weights is damaged or gone; it was not copied" in report.damages
    assert "datasets/data/1.json: a.csv is damaged or gone; it was not copied" in report.damages
    copy, _ = pulled(store, tmp_path)
    assert dataset_record.list_datasets(copy) == []
    assert {record.id for record in index.newest(copy)} == {"r2"}
    assert verify(copy).damages == []


def test_harmed_content_in_the_store_is_named(workspace, store, tmp_path):
    push(workspace, store)
    for key, data in ((blob_key(of_bytes(WEIGHTS)), b"x" * len(WEIGHTS)), ("runs/r1/outputs/model/weights", b"x" * 7)):
        overwrite(store, key, data)
    copy, report = pulled(store, tmp_path)
    assert "models/net/1/model.json: weights is damaged or gone; it was not copied" in report.damages
    assert "runs/r1: outputs/model/weights is damaged or gone; it was not copied" in report.damages
    assert (model.list_models(copy), {record.id for record in index.newest(copy)}) == ([], {"r2"})
    assert verify(copy).damages == []


def test_what_the_store_lost_is_sent_again(workspace, store, tmp_path):
    push(workspace, store)
    store.delete(blob_key(of_bytes(WEIGHTS)))
    overwrite(store, "runs/r1/outputs/model/weights", b"short")
    store.delete("runs/r1/events.jsonl")
    assert push(workspace, store).files == 3
    copy, report = pulled(store, tmp_path)
    assert whole(report)
    assert verify(copy).damages == []


def overwrite(store, key, data):
    if not isinstance(store, FolderStore):
        ObjectStore(store.address).put(key, data)
        return
    store.path(key).chmod(0o644)
    store.path(key).write_bytes(data)


def steps(limit):
    """Fails everything after so many writes, as a machine does that is switched off."""
    left = [limit]

    def decide(request):
        left[0] -= request.method in ("PUT", "POST")
        return Fault(status=403, code="AccessDenied") if left[0] < 0 else None

    return decide


def test_cut_off_anywhere_nothing_is_half_there(workspace, bucket_address, proxy, tmp_path, monkeypatch):
    store = open_store(bucket_address)
    sent = 0
    for limit in range(1, 60):
        proxy.fault = steps(limit)
        try:
            report = push(workspace, store)
        except TrainstackError:
            proxy.fault = lambda _: None
            assert_whole_as_far_as_it_goes(store, tmp_path / f"look-{limit}")
            continue
        sent = report.files
        break
    assert sent < 20
    copy, report = pulled(store, tmp_path)
    assert whole(report)
    assert verify(copy).damages == []
    assert {record.id for record in index.newest(copy)} == {"r1", "r2"}


def assert_whole_as_far_as_it_goes(store, root):
    try:
        copy, report = pull(store, root)
    except NotFoundError:
        return
    assert whole(report)
    assert verify(copy).damages == []


def test_a_store_that_fails_in_between(workspace, bucket_address, proxy, tmp_path):
    seen = [0]

    def every_fifth(request):
        seen[0] += 1
        kinds = [Fault(status=503, code="SlowDown"), Fault(reset="before"), Fault(reset="after"), Fault(status=500)]
        return kinds[seen[0] // 5 % 4] if seen[0] % 5 == 0 else None

    proxy.fault = every_fifth
    store = open_store(bucket_address)
    assert whole(push(workspace, store))
    copy, report = pulled(store, tmp_path)
    assert whole(report)
    assert verify(copy).damages == []


def test_a_store_that_is_away(workspace, bucket_address, proxy):
    proxy.always(Fault(status=503, code="SlowDown"))
    with pytest.raises(StoreUnreachableError, match="run it again"):
        push(workspace, ObjectStore(bucket_address, patience=0.5))


def test_requests_of_a_second_copy_are_few(workspace, bucket_address, proxy):
    for number in range(40):
        trained(workspace, f"more-{number}")
    store = open_store(bucket_address)
    push(workspace, store)
    proxy.requests.clear()
    push(workspace, store)
    # Of them three are for the lease under which the index of runs is written.
    assert len(proxy.requests) <= 13


def test_a_run_that_goes_on_is_pushed_alone(workspace, store, tmp_path):
    push(workspace, store)
    running = trained(workspace, "r3", status=Status.RUNNING, outputs={}, attempt=0)
    (running.checkpoints / "step").parent.mkdir()
    (running.checkpoints / "step").write_bytes(b"7")
    trained(workspace, "r4")
    assert whole(push_changes(workspace, store, ["runs/r3"], going_on=True))
    copy, _ = pulled(store, tmp_path)
    assert (copy.run("r3") / "checkpoints" / "step").read_bytes() == b"7"
    assert not copy.run("r4").exists()


def test_a_run_that_another_machine_took_over_is_left_alone(workspace, store):
    running = trained(workspace, "r3", status=Status.RUNNING, outputs={}, attempt=0)
    push(workspace, store)
    push_changes(workspace, store, ["runs/r3"], going_on=True)
    entry = store.get("runs/r3/run.json")
    store.replace("runs/r3/run.json", entry.data + b" ", entry.version)
    (running.checkpoints / "step").parent.mkdir()
    (running.checkpoints / "step").write_bytes(b"late")
    running.write(running.read())
    report = push_changes(workspace, store, ["runs/r3"], going_on=True)
    assert report.conflicts == ["runs/r3/run.json"]
    with pytest.raises(FileNotFoundError):
        store.get("runs/r3/checkpoints/step")
