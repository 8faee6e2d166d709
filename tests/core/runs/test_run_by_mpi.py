"""Horovod's runs through a real MPI operator: ended from outside, or left alone by whoever drove them."""

import contextlib
import os
import signal
import time

import pytest
from tests.core.kubernetes_runs import CLUSTER, access, left, needs_cluster, nodes_labelled, registry
from tests.core.sample_runs import events, request
from tests.waiting import until

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.environments import environment
from trainstack.core.maintenance import orphans
from trainstack.core.runs.directory import Status
from trainstack.core.runs.execution import submission
from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.api import mpijobs

BY_MPI = ComputeSpec(
    name="cluster",
    target="kubernetes",
    config=CLUSTER.model_copy(update={"engine": "mpijob"}),
    vm_size="STANDARD_D1_V2",
    max_nodes=2,
)
SECONDS = 300.0
SCRIPT = """
import os, pathlib, sys, time
rank, last = os.environ["HOROVOD_RANK"], int(sys.argv[2])
state = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], f"step-{rank}")
pathlib.Path("outputs", f"rank-{rank}").write_text(os.environ["HOROVOD_SIZE"])
for step in range(1, last + 1):
    time.sleep(0.1)
    aside = state.with_suffix(".new")
    aside.write_text(str(step))
    aside.rename(state)
    print("step", step, flush=True)
"""


def _missing():
    try:
        mpijobs.check(access())
    except TrainstackError as exc:
        return str(exc)
    return ""


pytestmark = [needs_cluster, pytest.mark.long, pytest.mark.tensorflow, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True, scope="module")
def operator():
    if reason := _missing():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def packages():
    spec = environment.get_curated("tensorflow-2.15-horovod")
    return spec, environment.lock(spec)


@pytest.fixture
def started(workspace, source, packages):
    (source / "train.py").write_text(SCRIPT)
    runs = []

    def submit(steps, *, compute=BY_MPI, **how):
        parts = {"distribution": {"kind": "horovod", "node_count": 2}}
        asked = request(packages, source, {"--steps": steps}, compute=compute, parts=parts, **how)
        found = submission.submit(workspace, asked.model_copy(update={"registry": registry()}), source, {}).directory
        runs.append(found)
        return found

    yield submit
    for run in [run for run in runs if run.root.is_dir()]:
        with contextlib.suppress(Exception):
            submission.stop(run, "the test is over")
        until(lambda run=run: not run.has_supervisor(), SECONDS)


def saved(run, rank):
    with contextlib.suppress(FileNotFoundError):
        return int((run.checkpoints / f"step-{rank}").read_text())
    return 0


def working(run):
    until(lambda: min(saved(run, 0), saved(run, 1)) >= 3 or run.read().status.ended, 600)
    assert not run.read().status.ended, run.read().reason


def ended(run):
    """Whether nothing is left of it, and what both workers wrote is home."""
    until(lambda: not run.has_supervisor(), SECONDS)
    assert (run.outputs / "rank-0").read_text() == (run.outputs / "rank-1").read_text() == "2"
    lines = run.merged_log.read_text().splitlines()
    assert all(f"[{rank}] step {step}" in lines for rank in (0, 1) for step in range(1, 4))
    return not left(run, engine="mpijob")


def test_after_its_supervisor_is_killed_a_run_is_taken_over(started):
    run = started(3000)
    working(run)
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    assert started(3000).id == run.id
    until(lambda: "taken over" in [event["kind"] for event in events(run)] or run.read().status.ended, SECONDS)
    before = saved(run, 1)
    until(lambda: saved(run, 1) >= before + 5 or run.read().status.ended, SECONDS)
    assert run.read().attempt == 1
    assert submission.stop(run, "seen enough").status is Status.CANCELED
    assert ended(run)


def test_a_destroyed_run_leaves_no_objects_and_keeps_outputs(started, workspace):
    run = started(3000)
    working(run)
    os.kill(run.read().supervisor, signal.SIGKILL)
    until(lambda: run.read().status is Status.INTERRUPTED)
    assert left(run, engine="mpijob")
    orphans.remove_all(workspace, BY_MPI, pytest.fail)
    assert ended(run)
    assert saved(run, 1) >= 3


def test_time_without_a_node_is_scaling_and_does_not_count(started):
    config = BY_MPI.config.model_copy(update={"node_selector": {"trainstack-tests/late-mpi": "yes"}})
    with nodes_labelled("trainstack-tests/late-mpi") as label:
        run = started(5, compute=BY_MPI.model_copy(update={"config": config}))
        until(lambda: "didn't match" in run.read().reason or run.read().status.ended, SECONDS)
        assert run.read().status is Status.SCALING
        until(lambda: run.read().stages[-1].seconds > 3)
        labelled = time.time()
        label()
        record = submission.follow(run)
    [running] = [stage for stage in record.stages if stage.name is Status.RUNNING]
    assert running.started >= labelled
    assert record.duration == pytest.approx(running.seconds, abs=0.1)
    assert ended(run)
