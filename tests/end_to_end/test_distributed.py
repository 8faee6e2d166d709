"""Runs of several processes through the real engine: the programs as they are, killed ranks, refusals in preview."""

import json
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.end_to_end.project import REPOSITORY, Project

from trainstack.agent.reporting.report import read_report
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.mlflow import metric_files as tracking

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1200)]
needs_mnist = pytest.mark.skipif(
    "MNIST_BASE_URL" not in os.environ, reason="MNIST_BASE_URL names no folder with the four files"
)
TEXT = REPOSITORY / "programs" / "word2vec" / "data" / "gcide.dict"
needs_text = pytest.mark.skipif(not TEXT.is_file(), reason="no text: run `python programs/word2vec/fetch_text.py`")


@dataclass(frozen=True)
class Mode:
    """A way to distribute MNIST: its program, the logs there are, and one rank to kill with the last of its lines."""

    program: str
    ranks: int
    victim: int
    victim_node: int
    said: str


MODES = [
    Mode("mnist_horovod", 2, 1, 1, "rank 1 of 2 trains on 30,000 images"),
    Mode("mnist_multiworker", 2, 1, 1, "worker 1 of 2: 60,000 images"),
    Mode("mnist_parameter_server", 4, 2, 1, "worker 1 serves at grpc://127.0.0.1:"),
]
SHORT, *LONG = MODES
each_mode = pytest.mark.parametrize(
    "mode", [SHORT, *(pytest.param(mode, marks=pytest.mark.long) for mode in LONG)], ids=lambda mode: mode.program
)


@pytest.fixture
def checkout(tmp_path):
    """Gives a program's own project in a copy of the checkout, with a stack."""
    projects = []

    def copy(name: str) -> Project:
        for folder in ("stacks", ".pulumi-state"):
            (tmp_path / folder).mkdir(exist_ok=True)
        root = tmp_path / "programs" / name
        shutil.copytree(REPOSITORY / "programs" / name, root, ignore=shutil.ignore_patterns(".trainstack", "data"))
        project = Project(root)
        projects.append(project)
        project.pulumi("stack", "init", "test")
        return project

    yield copy
    for project in projects:
        project.pulumi("destroy", "--yes", "--skip-preview", expect=None)


def only_run(project: Project) -> RunDirectory | None:
    folders = list(project.root.glob(".trainstack/*/runs/*/run.json"))
    return RunDirectory(folders[0].parent) if folders else None


def log(run: RunDirectory, rank: int) -> str:
    lines = run.merged_log.read_text().splitlines(keepends=True)
    return "".join(line.removeprefix(f"[{rank}] ") for line in lines if line.startswith(f"[{rank}] "))


@needs_mnist
@pytest.mark.tensorflow
@each_mode
def test_mnist_reaches_97_5_percent_with_two_workers(checkout, mode):
    project = checkout(mode.program)
    project.up()
    outputs = project.outputs()
    assert outputs["accuracy"] >= 0.975
    assert outputs["model"]["version"] == 1
    assert Path(outputs["model"]["path"], "saved_model.pb").is_file()
    run = RunDirectory(Path(outputs["path"]))
    assert all(log(run, rank) for rank in range(mode.ranks))
    assert {"accuracy", "loss"} <= tracking.read(run.tracking).keys()
    assert not any(tracking.read(run.tracking, rank) for rank in range(1, mode.ranks))
    project.unchanged()


@needs_mnist
@pytest.mark.long
@pytest.mark.tensorflow
@each_mode
def test_a_killed_rank_ends_the_run_and_up_resumes_it(checkout, mode):
    project = checkout(mode.program)
    project.pulumi("config", "set", "epochs", "5")
    with ThreadPoolExecutor(1) as pool:
        up = pool.submit(project.up, None)
        run = until(lambda: only_run(project), up)
        # With the second epoch's metrics there, the first one's checkpoint is whole.
        until(lambda: any(point.step >= 2 for point in tracking.read(run.tracking).get("loss", [])), up)
        report = read_report(run.reports, mode.victim_node)
        assert report is not None
        [victim] = [rank for rank in report.ranks if rank.rank == mode.victim]
        os.kill(victim.pid, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: run.read().status is Status.FAILED, up, finished=True)
        assert time.monotonic() - killed < 5
        result = up.result()
    assert result.code != 0
    assert f"rank {mode.victim}" in result.text
    assert "SIGKILL" in result.text
    assert f"| {mode.said}" in result.text
    assert "logs/run.txt" in result.text
    assert "Traceback" not in result.text

    project.up()
    assert run.read().attempt == 2
    steps = [point.step for point in tracking.read(run.tracking)["loss"]]
    assert sorted(set(steps)) == [1, 2, 3, 4, 5]
    assert steps.count(1) == 1
    assert project.outputs()["accuracy"] >= 0.97


@needs_text
@pytest.mark.long
@pytest.mark.tensorflow
def test_word_vectors_put_words_of_one_kind_together(checkout):
    project = checkout("word2vec")
    (project.root / "data").mkdir()
    os.link(TEXT, project.root / "data" / TEXT.name)
    project.up()
    outputs = project.outputs()
    # By chance it would be 9 %.
    assert outputs["same_kind"] >= 0.65
    run = RunDirectory(Path(outputs["path"]))
    losses = [point.value for point in tracking.read(run.tracking)["loss"]]
    assert losses[-1] < losses[0]
    assert "rank 1 of 2" in log(run, 1)
    assert "king: " in log(run, 0)
    model = Path(outputs["model"]["path"])
    assert len(json.loads((model / "vocabulary.json").read_text())) == 15000
    assert (model / "embeddings.npy").stat().st_size > 15000 * 96 * 4


def test_a_missing_text_is_told_in_one_line(checkout):
    result = checkout("word2vec").pulumi("preview", expect=None)
    assert result.code != 0
    assert "the text is missing: run `python programs/word2vec/fetch_text.py` first" in result.text
    assert "Traceback" not in result.text


PROGRAM = """
import trainstack as ts

workspace = ts.Workspace("tiny")
cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=2))
env = ts.Environment("env", ts.EnvironmentArgs(ENVIRONMENT))
run = ts.TrainingRun("tiny", ts.TrainingRunArgs(
    source_directory="scripts", script="train.py", compute=cluster, environment=env, distribution=ts.DISTRIBUTION))
"""
HOROVOD = 'curated_name="tensorflow-2.15-horovod"'
PLAIN = 'curated_name="tensorflow-2.15"'
KERAS_3 = 'packages=["tensorflow-cpu==2.21.0"]'


@pytest.mark.parametrize(
    ("environment", "distribution", "words"),
    [
        (PLAIN, "Horovod(node_count=2)", "Horovod is not in the environment: take the curated environment"),
        (KERAS_3, "TensorFlow(worker_count=2)", "TensorFlow 2.21.0 brings Keras 3, which breaks"),
        (HOROVOD, "Horovod(node_count=3)", "3 nodes are more than compute 'local' has (2): raise its max_nodes"),
        (PLAIN, "TensorFlow(worker_count=2, parameter_server_count=1)", "share the workers' nodes with node_count=2"),
        (PLAIN, "TensorFlow(worker_count=2, node_count=1)", "need 2 nodes, 1 are given"),
        (HOROVOD, "Horovod(process_count_per_node=4096)", "4096 ranks a node are more than the"),
        (HOROVOD, "Horovod(min_workers=2)", "needs both min_workers and max_workers"),
    ],
)
def test_what_cannot_work_is_refused_in_preview_with_one_line(project, environment, distribution, words):
    project.write("__main__.py", PROGRAM.replace("ENVIRONMENT", environment).replace("DISTRIBUTION", distribution))
    project.write("scripts/train.py", "")
    result = project.pulumi("preview", expect=None)
    assert result.code != 0
    assert words in result.text
    assert "Traceback" not in result.text


def until(condition, up, *, seconds=300, finished=False):
    """Wait for a condition while `up` runs, and return what it came to."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert finished or not up.done(), up.result().text
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return met
