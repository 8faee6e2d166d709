"""Ctrl-C once and twice, and a killed engine: the run goes on, and the next up goes on with it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.waiting import until

from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.targets.local.orphans import processes

pytestmark = pytest.mark.end_to_end

PROGRAM = """
import pulumi
import trainstack as ts

workspace = ts.Workspace("tiny")
run = ts.TrainingRun("slow", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py",
    compute=ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1)),
    environment=ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"])),
    arguments={"--steps": 150}, on_disconnect="continue",
))
pulumi.export("status", run.status)
pulumi.export("path", run.path)
"""
SCRIPT = """
import os, pathlib, sys, time
state = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "step")
step = int(state.read_text()) if state.exists() else 0
print("starting at", step, flush=True)
while step < int(sys.argv[2]):
    time.sleep(0.1)
    step += 1
    aside = state.with_name("aside")
    aside.write_text(str(step))
    aside.rename(state)
    print("step", step, flush=True)
pathlib.Path("outputs/steps").write_text(str(step))
"""


@pytest.fixture
def slow(project):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    return project


def run_of(project) -> RunDirectory:
    [record] = (project.root / ".trainstack" / "tiny" / "runs").glob("*/run.json")
    return RunDirectory(record.parent)


def training(project, up: subprocess.Popen[bytes]) -> RunDirectory:
    """Wait until the script has trained a little."""

    def trains() -> bool:
        assert up.poll() is None
        return any("step 3\n" in log.read_text() for log in project.root.glob(".trainstack/tiny/runs/*/logs/run.txt"))

    until(trains)
    return run_of(project)


def providers(project) -> list[str]:
    """Provider processes that work in the project, by what they run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if "pulumi.dynamic" in command and (entry / "cwd").readlink().is_relative_to(project.root):
                found.append(command)
        except OSError:
            continue
    return found


def starts(run: RunDirectory) -> list[int]:
    lines = run.merged_log.read_text().splitlines()
    return [int(line.split()[-1]) for line in lines if line.startswith("starting at")]


def test_the_first_ctrl_c_waits_for_the_run(slow, tmp_path):
    slow.write("__main__.py", PROGRAM.replace("150", "60"))
    up = slow.start_up(tmp_path / "up.txt")
    run = training(slow, up)
    os.killpg(up.pid, signal.SIGINT)
    # At once, and not when the run has ended.
    until(lambda: f"trainstack runs stop {run.id}" in (tmp_path / "up.txt").read_text())
    assert run.read().status is Status.RUNNING
    assert up.wait(60) != 0
    assert "update canceled" in (tmp_path / "up.txt").read_text()
    assert run.read().status is Status.COMPLETED
    assert "pending operations" not in slow.up().text
    assert slow.outputs()["status"] == "completed"
    assert starts(run) == [0]


def test_the_second_ctrl_c_leaves_the_run_to_the_next_up(slow, tmp_path):
    up = slow.start_up(tmp_path / "up.txt")
    run = training(slow, up)
    os.killpg(up.pid, signal.SIGINT)
    until(lambda: "^C received" in (tmp_path / "up.txt").read_text())
    os.killpg(up.pid, signal.SIGINT)
    assert up.wait(30) != 0
    assert run.has_supervisor()
    assert run.read().status is Status.RUNNING
    next_up = slow.up()
    assert "attached run" in next_up.text
    assert "1 pending operations" in next_up.text
    assert slow.outputs()["status"] == "completed"
    assert starts(run) == [0]
    # The warning stays until it is cleared, which changes nothing else.
    slow.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    again = slow.up()
    assert "pending operations" not in again.text
    assert "unchanged" in again.text


def test_a_killed_engine_leaves_a_lock_and_no_provider(slow, tmp_path):
    up = slow.start_up(tmp_path / "up.txt")
    run = training(slow, up)
    assert providers(slow)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    refused = slow.up(expect=None)
    assert refused.code != 0
    assert "pulumi cancel" in refused.text
    until(lambda: not providers(slow), 20)
    assert run.has_supervisor()
    slow.pulumi("cancel", "--yes")
    slow.up()
    assert slow.outputs()["status"] == "completed"
    assert (run.outputs / "steps").read_text() == "150"
    assert starts(run) == [0]
    until(lambda: not processes(run.root))


def test_a_run_nobody_follows_is_stopped_and_resumed(slow, tmp_path):
    slow.write("__main__.py", PROGRAM.replace('"continue"', '"stop"').replace("150", "250"))
    up = slow.start_up(tmp_path / "up.txt")
    run = training(slow, up)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    until(lambda: not run.has_supervisor(), 40)
    record = run.read()
    assert record.status is Status.CANCELED
    assert "nobody followed it for 10 s" in record.reason
    assert not processes(run.root)
    slow.pulumi("cancel", "--yes")
    slow.up()
    assert run.read().attempt == 2
    assert starts(run)[1] > 50
    assert (run.outputs / "steps").read_text() == "250"
