"""A workspace in an object store: two machines that share the store and the stack's state, and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from tests.end_to_end.project import Project, new_project
from tests.end_to_end.shared_program import PROGRAM, another_checkout, write_program
from tests.waiting import until

from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.storage.object_store.store import ObjectStore

pytestmark = pytest.mark.end_to_end

WAITS = """
import pathlib, time
while not pathlib.Path("{go}").exists():
    time.sleep(0.05)
pathlib.Path("outputs/total").write_text("6.0")
"""


CONTINUES = """
import os, pathlib, time
step = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "step")
if step.exists():
    pathlib.Path("outputs/total").write_text("went on from " + step.read_text())
else:
    step.write_text("7")
    while not pathlib.Path("{go}").exists():
        time.sleep(0.05)
    pathlib.Path("outputs/total").write_text("began")
"""


@pytest.fixture
def machine(tmp_path, bucket_address):
    """Makes a machine: a checkout with a home and a cache of its own."""
    state = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/first/.pulumi-state", "PULUMI_STACK": "test"}

    def make(name: str) -> Project:
        home = {"HOME": str(tmp_path / f"home-{name}"), "TRAINSTACK_CACHE": str(tmp_path / f"cache-{name}")}
        (tmp_path / f"home-{name}").mkdir()
        if name == "first":
            project = new_project(tmp_path / name)
            project.variables = {**project.variables, **state, **home}
            write_program(project)
            project.pulumi("config", "set", "root", bucket_address)
            return project
        return another_checkout(tmp_path / "first", tmp_path / name, {**state, **home})

    return make


def other_stack(first: Project, second: Project) -> None:
    """Give the second machine a stack of its own: a stack's lock would keep one of them waiting."""
    second.variables["PULUMI_STACK"] = "other"
    second.pulumi("stack", "init", "other")
    second.pulumi("config", "set", "root", first.pulumi("config", "get", "root").text.strip())


@pytest.mark.long
def test_another_machine_goes_on_where_the_first_was(machine, tmp_path):
    first, second = machine("first"), machine("second")
    first.up()
    made = first.outputs()
    second.unchanged()
    second.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    # A change in place, and one that trains again.
    second.pulumi("config", "set", "max_nodes", "2")
    second.up()
    second.pulumi("config", "set", "times", "2")
    second.up()
    trained = second.outputs()
    assert trained["run"] != made["run"]
    assert trained["version"] == 2
    assert (tmp_path / "cache-second") in Path(trained["path"]).parents
    # Back on the first machine what the second one trained is adopted, and so is the first run again.
    for name in ("max_nodes", "times"):
        first.pulumi("config", "set", name, "2")
    first.unchanged()
    first.pulumi("config", "set", "times", "1")
    assert first.preview().lines("adopts finished run")
    first.up()
    assert first.outputs()["run"] == made["run"]


def test_a_deleted_cache_loses_nothing(machine, tmp_path, proxy):
    first = machine("first")
    first.up()
    shutil.rmtree(tmp_path / "cache-first" / "workspaces")
    first.unchanged()
    first.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    proxy.requests.clear()
    first.unchanged()
    assert 0 < len(proxy.requests) <= 20


def test_a_bucket_that_is_not_there_fails_in_preview(machine, bucket_address):
    first = machine("first")
    first.pulumi("config", "set", "root", "s3://no-such-bucket-of-tests/team")
    result = first.preview(expect=None)
    assert result.code != 0
    assert result.lines("there is no bucket 'no-such-bucket-of-tests': create it, or check address")


def test_machines_at_once_train_a_run_once(machine):
    first, second = machine("first"), machine("second")
    other_stack(first, second)
    results = {}
    threads = [threading.Thread(target=lambda p=p: results.update({p.root.name: p.up().text})) for p in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.outputs()["run"] == second.outputs()["run"]
    assert sum("adopted finished run" in text for text in results.values()) == 1, results
    assert (first.outputs()["data"], second.outputs()["data"]) == (1, 1)


@pytest.mark.long
def test_a_killed_up_leaves_the_run_to_its_machine(machine, tmp_path, bucket_address):
    first, second = machine("first"), machine("second")
    for project in (first, second):
        project.write("scripts/train.py", WAITS.format(go=tmp_path / "go"))
    other_stack(first, second)
    up = first.start_up(tmp_path / "first.txt")
    (record,) = until(lambda: list(tmp_path.glob("cache-first/workspaces/*/runs/*/run.json")), 120)
    run = RunDirectory(record.parent)
    until(lambda: run.read().status is Status.RUNNING)
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()
    # The machine that drives the run takes the lease over from the dead `up`, and keeps it.
    store = ObjectStore(bucket_address)
    until(lambda: json.loads(store.get(f"locks/runs/{run.id}.json").data)["token"] == 2, 120)
    up = second.start_up(tmp_path / "second.txt")
    until(lambda: "waits for" in (tmp_path / "second.txt").read_text(), 120)
    (tmp_path / "go").touch()
    assert up.wait(120) == 0
    assert "adopted finished run" in (tmp_path / "second.txt").read_text()
    assert run.read().attempt == 1


def test_a_dead_machines_run_goes_on_elsewhere(machine, tmp_path, bucket_address):
    first, second = machine("first"), machine("second")
    for project in (first, second):
        project.write("__main__.py", PROGRAM + "pulumi.export('status', run.status)")
        project.write("scripts/train.py", CONTINUES.format(go=tmp_path / "go"))
    other_stack(first, second)
    up = first.start_up(tmp_path / "first.txt")
    store = ObjectStore(bucket_address)
    saved = until(lambda: [item.key for item in store.list("runs") if item.key.endswith("checkpoints/step")], 180)
    run_id = saved[0].split("/")[1]
    os.killpg(up.pid, signal.SIGKILL)
    for _ in range(3):
        subprocess.run(["pkill", "-KILL", "-f", run_id], check=False)
    up.wait()
    (tmp_path / "go").touch()
    again = second.up()
    assert f"resumed run {run_id}" in again.text
    assert (Path(second.outputs()["path"]) / "outputs" / "total").read_text() == "went on from 7"
