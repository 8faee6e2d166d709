"""Runs in containers through the real Pulumi engine and a real Docker engine: the same programs, another target."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.docker_runs import containers, left, needs_engine
from tests.core.sample_runs import printed
from tests.end_to_end.project import REPOSITORY, Project
from tests.waiting import until

from trainstack.core.runs.directory import RunDirectory
from trainstack.mlflow import metric_files as tracking

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900), needs_engine]
needs_mnist = pytest.mark.skipif(
    "MNIST_BASE_URL" not in os.environ, reason="MNIST_BASE_URL names no folder with the four files"
)

PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("tiny")
cluster = ts.Compute("cluster", ts.ComputeArgs(
    workspace=workspace, target=config.require("target"), max_nodes=config.get_int("nodes") or 1,
    docker_host=config.get("docker-host"), vm_size=config.get("size"),
))
run = ts.TrainingRun("steps", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster,
    environment=ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"], compute=cluster)),
    arguments={"--steps": config.get_int("steps") or 3},
    secret_variables={"TOKEN": pulumi.Output.secret("open-sesame-4711")},
))
pulumi.export("run_id", run.run_id)
pulumi.export("path", run.path)
pulumi.export("status", run.status)
"""
SCRIPT = """
import os, pathlib, sys, time
assert len(os.environ["TOKEN"]) == 16
state = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "step")
step = int(state.read_text()) if state.exists() else 0
print("starting at", step, flush=True)
while step < int(sys.argv[sys.argv.index("--steps") + 1]):
    time.sleep(0.2)
    step += 1
    state.with_name("aside").write_text(str(step))
    state.with_name("aside").replace(state)
    print("step", step, flush=True)
pathlib.Path("outputs/total").write_text(str(step))
"""


@pytest.fixture
def tiny(project):
    project.write("__main__.py", PROGRAM)
    project.write("scripts/train.py", SCRIPT)
    project.pulumi("config", "set", "trainstack:target", "docker")
    return project


def run_of(project: Project) -> RunDirectory:
    return RunDirectory(Path(project.outputs()["path"]))


def abandoned(project: Project, folder: Path) -> RunDirectory:
    """A run whose `up` and supervisor are killed while its container trains."""
    up = project.start_up(folder / "up.txt")
    run = until(lambda: next(iter(RunDirectory(path.parent) for path in project.root.rglob("runs/*/run.json")), None))
    until(lambda: printed(run, "step 3"))
    supervisor = run.read().supervisor
    assert supervisor is not None
    up.kill()
    os.kill(supervisor, signal.SIGKILL)
    up.wait(30)
    project.pulumi("cancel", "--yes", expect=None)
    return run


def test_up_trains_in_a_container_and_then_shows_no_change(tiny):
    said = tiny.up()
    assert said.lines("up to 1 node of")
    run = run_of(tiny)
    assert (run.outputs / "total").read_text() == "3"
    tiny.unchanged()
    until(lambda: not left(run))
    log = subprocess.run(
        [sys.executable, "-m", "trainstack.cli", "runs", "logs", "steps"],
        cwd=tiny.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert log.stdout == "starting at 0\nstep 1\nstep 2\nstep 3\n"
    everything = "".join(path.read_text(errors="replace") for path in run.root.rglob("*") if path.is_file())
    assert "open-sesame-4711" not in everything


def test_what_is_done_on_this_machine_is_adopted_in_containers(tiny):
    tiny.pulumi("config", "set", "trainstack:target", "local")
    tiny.up()
    run_id = tiny.outputs()["run_id"]
    tiny.pulumi("config", "set", "trainstack:target", "docker")
    preview = tiny.preview()
    assert "will retrain" not in preview.text
    tiny.up()
    assert tiny.outputs()["run_id"] == run_id
    assert run_of(tiny).read().attempt == 1
    assert not left(run_of(tiny))


def test_the_next_up_takes_over_containers_of_a_killed_one(tiny, tmp_path):
    tiny.pulumi("config", "set", "trainstack:steps", "100")
    run = abandoned(tiny, tmp_path)
    assert containers(run, node="0")
    tiny.up()
    assert (run.read().attempt, (run.outputs / "total").read_text()) == (1, "100")
    assert run.merged_log.read_text().count("starting at") == 1
    until(lambda: not left(run))


def test_destroy_leaves_nothing_of_a_run_that_nobody_drives(tiny, tmp_path):
    tiny.pulumi("config", "set", "trainstack:steps", "1000")
    run = abandoned(tiny, tmp_path)
    assert left(run)
    tiny.pulumi("destroy", "--yes", "--skip-preview")
    assert not left(run)
    assert int((run.checkpoints / "step").read_text()) >= 3


def test_more_than_the_engine_holds_is_refused_in_preview(tiny):
    tiny.pulumi("config", "set", "trainstack:nodes", "500")
    refused = tiny.preview(expect=None)
    assert refused.code != 0
    assert "max_nodes 500 is more than the" in refused.text
    assert "CPUs of the machine of the Docker engine" in refused.text


def test_a_silent_engine_warns_in_preview_and_fails_up(tiny, tmp_path):
    tiny.pulumi("config", "set", "trainstack:docker-host", f"unix://{tmp_path}/none.sock")
    previewed = tiny.preview()
    assert "its size is not checked: no Docker engine answers" in previewed.text
    refused = tiny.up(expect=None)
    assert refused.code != 0
    assert refused.lines(f"no Docker engine answers at unix://{tmp_path}/none.sock")
    assert "Traceback" not in refused.text


@needs_mnist
@pytest.mark.long
@pytest.mark.tensorflow
@pytest.mark.parametrize("program", ["mnist_horovod", "mnist_multiworker", "mnist_parameter_server"])
def test_mnist_trains_on_two_containers(tmp_path, program):
    for folder in ("stacks", ".pulumi-state"):
        (tmp_path / folder).mkdir()
    shutil.copy(REPOSITORY / "stacks" / "Pulumi.docker.yaml", tmp_path / "stacks")
    root = tmp_path / "programs" / program
    shutil.copytree(REPOSITORY / "programs" / program, root, ignore=shutil.ignore_patterns(".trainstack", "data"))
    project = Project(root)
    project.pulumi("stack", "init", "docker")
    try:
        project.pulumi("config", "set", "epochs", "2")
        project.up()
        run = run_of(project)
        assert project.outputs()["accuracy"] >= 0.9
        assert {"accuracy", "loss"} <= tracking.read(run.tracking).keys()
        assert Path(project.outputs()["model"]["path"], "saved_model.pb").is_file()
        assert "node-1" in (run.root / "launch.json").read_text()
        until(lambda: not left(run))
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview", expect=None)
