"""Two users share a workspace: who may only read can look at all of it, and who is of the group can work in it."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trainstack.cli.app import app
from trainstack.core.runs import index
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.index import newest
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage import locks

OTHER, GROUP = 54321, 54322
READS = (["runs", "list"], ["runs", "show", "run"], ["models", "list"], ["datasets", "list"], ["fsck"], ["gc"])


def as_other(act: Callable[[], object], group: int) -> str:
    """What went wrong when another user did something; in a process of its own, because there is no way back."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        problem = "it did not come to an end"
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(OTHER)
            os.umask(0o002)
            act()
            problem = ""
        except BaseException as exc:  # noqa: BLE001 (it has to cross to the other process)
            problem = repr(exc)
        finally:
            os.write(writing, problem.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


@pytest.fixture
def top():
    """A folder that another user can enter, which pytest's own is not."""
    if os.geteuid() != 0:
        pytest.skip("acting as another user takes root")
    folder = Path(tempfile.mkdtemp(prefix="trainstack-group-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def workspace(top, monkeypatch):
    before = os.umask(0o002)
    root = top / "ws"
    root.mkdir()
    os.chown(root, -1, GROUP)
    root.chmod(0o2775)
    monkeypatch.setenv("TRAINSTACK_SAFE_FOLDERS", "*")
    cache = top / "cache"
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    monkeypatch.setenv("TRAINSTACK_CACHE", str(cache))
    workspace = Workspace.create(root, "ws")
    for number, status in enumerate((Status.COMPLETED, Status.RUNNING)):
        run = RunDirectory(workspace.run(str(number) * 16))
        run.root.mkdir(parents=True)
        run.write(RunRecord(id=run.id, name="run", status=status, created=number, updated=number, attempt=1))
        run.event("submitted", name="run")
        with run.lock():
            pass
    yield workspace
    os.umask(before)


@pytest.mark.parametrize("command", READS, ids=" ".join)
def test_who_may_only_read_can_look_at_everything(workspace, top, command):
    # Loads what the command needs, from folders that the other user cannot enter.
    shutil.copytree(workspace.root, top / "copy")
    CliRunner().invoke(app, [*command, "--workspace", str(top / "copy")], catch_exceptions=False)

    def look():
        result = CliRunner().invoke(app, [*command, "--workspace", str(workspace.root)], catch_exceptions=False)
        assert result.exit_code == 0, result.output

    assert as_other(look, group=OTHER) == ""


def test_who_is_of_the_group_can_work_in_it(workspace, top):
    run = RunDirectory(workspace.run("0" * 16))
    newest(workspace)

    def work():
        with locks.exclusive(workspace.records_lock), run.lock() as mine:
            assert mine
            record = run.read()
            index.forget(workspace, run.id)
            record.reason = "by another"
            run.write(record)
            run.event("stage", status="running")
            source = top / "cache" / "file"
            source.write_text("data")
            workspace.blobs.add(source)
            RunDirectory(workspace.run("2" * 16)).root.mkdir()

    assert as_other(work, group=GROUP) == ""
    assert run.read().reason == "by another"
    # What the other has made is the group's too.
    made = workspace.run("2" * 16).stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (OTHER, GROUP, 0o775)
    run.event("stage", status="finalizing")
    assert len(newest(workspace)) == 2
