"""What gc reclaims, and what it never touches, also while somebody registers."""

import os
import subprocess
import sys
import threading
import time

import pytest
from tests.core.sample_runs import WRITTEN

from trainstack.core.datasets import dataset
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.environments import venv
from trainstack.core.maintenance import gc, references
from trainstack.core.maintenance import unused_environments as environment_collection
from trainstack.core.models import model
from trainstack.core.models.model import ModelSpec
from trainstack.core.runs import snapshot
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import write_json

EIGHT_DAYS = 8 * 24 * 3600


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "workspace", "tests")


def age(path, seconds):
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def stored(workspace, tmp_path, content):
    """A blob that no record points to, as a killed registration leaves it."""
    file = tmp_path / "orphan"
    file.write_bytes(content)
    return workspace.blobs.add(file)


def a_run(workspace, run_id="r1", *, files=None, outputs=None, environment="e" * 64, status=Status.COMPLETED):
    directory = RunDirectory(workspace.run(run_id))
    spec = {"script": "train.py", "files": files or {}, "environment": {"digest": environment}}
    asked = {"name": "fit", "spec": spec, **WRITTEN}
    write_json(directory.root / "spec.json", asked)
    directory.write(
        RunRecord(id=run_id, name="fit", status=status, created=1.0, updated=1.0, attempt=1, outputs=outputs or {})
    )
    return directory


def a_dataset(workspace, tmp_path, content, name="data"):
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / "a.csv").write_bytes(content)
    return dataset.register(workspace, DatasetSpec(name=name, paths=(str(tmp_path / name),)))


def a_model(workspace, tmp_path, content, **how):
    (tmp_path / "net").mkdir(exist_ok=True)
    (tmp_path / "net" / "weights").write_bytes(content)
    return model.register(workspace, ModelSpec(name="net"), tmp_path / "net", **how)


def test_everything_that_a_record_points_to_stays(workspace, tmp_path):
    a_dataset(workspace, tmp_path, b"data of version 1")
    a_dataset(workspace, tmp_path, b"data of version 2")
    a_model(workspace, tmp_path, b"weights")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.py").write_text("code")
    files = snapshot.take(tmp_path / "source").files
    snapshot.store(tmp_path / "source", files, workspace.blobs)
    a_run(workspace, files=files, outputs={"model": stored(workspace, tmp_path, b"an output")})
    before = set(workspace.blobs)
    assert len(before) == 5
    assert gc.collect(workspace) == []
    assert set(workspace.blobs) == before


def test_an_unreferenced_blob_goes_and_its_size_is_shown(workspace, tmp_path):
    kept = a_dataset(workspace, tmp_path, b"data").files[0].sha256
    orphan = stored(workspace, tmp_path, b"12345")
    [found] = gc.find(workspace)
    assert (found.kind, found.path, found.size) == ("blob", workspace.blobs.path(orphan), 5)
    assert workspace.blobs.has(orphan)
    assert gc.collect(workspace) == [found]
    assert set(workspace.blobs) == {kept}
    assert gc.find(workspace) == []


def test_bytes_with_another_hard_link_are_not_freed(workspace, tmp_path):
    orphan = stored(workspace, tmp_path, b"12345")
    workspace.blobs.link(orphan, tmp_path / "elsewhere")
    [found] = gc.collect(workspace)
    assert (found.kind, found.size) == ("blob", 0)
    assert (tmp_path / "elsewhere").read_bytes() == b"12345"


def test_partial_files_go_after_a_week(workspace):
    old, new = workspace.blobs.partial("old.part"), workspace.blobs.partial("new.part")
    old.write_bytes(b"123")
    new.write_bytes(b"123")
    age(old, EIGHT_DAYS)
    assert [(one.kind, one.path, one.size) for one in gc.collect(workspace)] == [("partial", old, 3)]
    assert new.exists()


def test_half_written_records_and_killed_removals_go(workspace, tmp_path):
    a_model(workspace, tmp_path, b"weights")
    half = workspace.model("net") / ".2.tmp"
    (half / "files").mkdir(parents=True)
    record = a_run(workspace).root / ".run.json.0a1b2c3d.tmp"
    record.write_text("{")
    rest = workspace.trash / "run-x-00"
    rest.mkdir(parents=True)
    (rest / "file").write_bytes(b"1")
    just_now = workspace.root / "runs" / "r1" / ".run.json.00000000.tmp"
    just_now.write_text("{")
    own = workspace.run("r1") / "outputs" / ".mine.tmp"
    own.parent.mkdir()
    own.write_text("the script's own")
    for path in (half, record, own):
        age(path, 7200)
    assert {one.path for one in gc.collect(workspace)} == {half, record, rest}
    assert not half.exists()
    assert not record.exists()
    assert not rest.exists()
    assert just_now.exists()
    assert own.exists()


def test_a_record_that_cannot_be_read_keeps_everything(workspace, tmp_path):
    orphan = stored(workspace, tmp_path, b"12345")
    record = a_run(workspace).root / "run.json"
    record.write_text('{"id": ')
    with pytest.raises(TrainstackError, match=r"run\.json is damaged") as caught:
        gc.collect(workspace)
    assert "\n" not in str(caught.value)
    assert workspace.blobs.has(orphan)


def test_a_collection_waits_for_a_registration(workspace, tmp_path):
    """The blob is there, its record is not: the moment in which a careless collection would take it."""
    told = []
    with locks.shared(workspace.records_lock):
        orphan = stored(workspace, tmp_path, b"not yet recorded")
        collecting = threading.Thread(target=gc.collect, args=(workspace, told.append))
        collecting.start()
        collecting.join(0.3)
        assert collecting.is_alive()
        assert workspace.blobs.has(orphan)
        a_run(workspace, files={"train.py": orphan})
    collecting.join(10)
    assert told == ["waiting for registrations under way"]
    assert workspace.blobs.has(orphan)


def test_a_registration_waits_for_a_collection(workspace, tmp_path):
    told = []
    with locks.exclusive(workspace.records_lock):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a").write_text("a")
        spec = DatasetSpec(name="data", paths=(str(tmp_path / "data"),))
        registering = threading.Thread(target=dataset.register, args=(workspace, spec, told.append))
        registering.start()
        registering.join(0.3)
        assert list(workspace.blobs) == []
    registering.join(10)
    assert told[0] == "waiting for a removal from the workspace"
    assert len(list(workspace.blobs)) == 1


REGISTERER = """
import sys
from pathlib import Path
from trainstack.core.datasets import dataset
from trainstack.core.models import model
from trainstack.core.datasets.dataset import DatasetSpec
from trainstack.core.models.model import ModelSpec
from trainstack.core.workspace.workspace import Workspace
workspace, source = Workspace.open(Path(sys.argv[1])), Path(sys.argv[2])
for number in range(30):
    (source / "file").write_text(f"{sys.argv[2]} {number}")
    dataset.register(workspace, DatasetSpec(name=source.name, paths=(str(source),)))
    (source / "file").write_text(f"model {sys.argv[2]} {number}")
    model.register(workspace, ModelSpec(name=source.name), source)
"""


def test_collections_beside_registrations_lose_nothing(workspace, tmp_path):
    registering = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", REGISTERER, str(workspace.root), str(tmp_path / name)]
        registering.append(subprocess.Popen(command))
    collections, number = 0, 0
    while any(process.poll() is None for process in registering):
        orphan = stored(workspace, tmp_path, f"orphan {(number := number + 1)}".encode())
        gc.collect(workspace)
        assert not workspace.blobs.has(orphan)
        collections += 1
    assert [process.wait() for process in registering] == [0, 0]
    assert collections > 3
    needed = references.blobs(workspace)
    assert len(needed) == 2 * 30 * 2
    assert all(workspace.blobs.verify(digest) for digest in needed)


def an_environment(cache, digest, days):
    folder = cache / "environments" / digest
    (folder / "venv").mkdir(parents=True)
    (folder / "complete").write_text("{}")
    (folder / "venv" / "big").write_bytes(bytes(1000))
    age(folder / "complete", days * 24 * 3600)
    return folder


def test_long_unused_environments_go(workspace, cache):
    old, recent = an_environment(cache, "a" * 64, 40), an_environment(cache, "b" * 64, 2)
    awaited, done = an_environment(cache, "c" * 64, 40), an_environment(cache, "d" * 64, 40)
    a_run(workspace, "r1", environment="c" * 64, status=Status.FAILED)
    a_run(workspace, "r2", environment="d" * 64)
    found = environment_collection.find(workspace, 30)
    assert [(one.kind, one.path, one.size) for one in found] == [
        ("environment", old, 1002),
        ("environment", done, 1002),
    ]
    assert environment_collection.collect(workspace, 30) == found
    assert [path.exists() for path in (old, recent, awaited, done)] == [False, True, True, False]


def test_an_environment_that_a_process_runs_on_stays(workspace, cache):
    old = an_environment(cache, "a" * 64, 40)
    python = old / "venv" / "python"
    python.symlink_to(sys.executable)
    process = subprocess.Popen([python, "-c", "print('up', flush=True); input()"], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    assert environment_collection.collect(workspace, 30) == []
    process.communicate(b"\n")
    assert [one.path for one in environment_collection.collect(workspace, 30)] == [old]


def test_an_environment_in_use_or_being_built_stays(cache):
    old = an_environment(cache, "a" * 64, 40)
    assert venv.discard(old, time.time() - 41 * 24 * 3600) is False
    with locks.exclusive(old.with_name(f"{old.name}.lock")):
        assert venv.discard(old, time.time()) is False
    assert (old / "complete").exists()


def test_the_next_collection_ends_a_killed_removal(workspace, cache):
    aside = cache / "environments" / f".{'a' * 64}.tmp"
    aside.mkdir(parents=True)
    (aside / "file").write_bytes(bytes(10))
    [found] = environment_collection.collect(workspace, 30)
    assert found.size == 10
    assert not aside.exists()
