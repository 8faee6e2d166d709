"""Kill supervisors, agents and ranks of real TensorFlow runs, alone and in a group: none is lost, none begins anew.

One round in fifty of `CHAOS_N`, at least one a program. Each run is killed twice at random moments of its training.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.waiting import until

from trainstack.agent.reporting.report import read_report
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.datasets import dataset
from trainstack.core.environments import environment
from trainstack.core.runs import snapshot
from trainstack.core.runs.arguments import canonical
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.submission import Outcome
from trainstack.core.runs.fields import RunEnvironment, RunSpec
from trainstack.core.runs.request import DatasetReference, LockedEnvironment, RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.mlflow import metric_files as tracking
from trainstack.targets.local.orphans import processes

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif("MNIST_BASE_URL" not in os.environ, reason="MNIST_BASE_URL names no folder with the four files"),
]

PROGRAMS = Path(__file__).parents[2] / "programs"
ROUNDS = max(1, int(os.environ.get("CHAOS_N", "12")) // 50)
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
EPOCHS, KILLS = 5, 2
# From a kill to the end of the next epoch, beyond what a first start takes to its first: importing, reading, tracing.
RECOVERY_SECONDS = 10.0
ALONE = {"kind": "single"}
GROUP = {"kind": "horovod", "node_count": 2}
FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def epochs(run: RunDirectory) -> list[tuple[float, int]]:
    """When each epoch was logged (seconds since the epoch), and its number, over all attempts."""
    return [(point.time / 1000, point.step) for point in tracking.read(run.tracking).get("train_accuracy", [])]


def victims(run: RunDirectory, kind: str, nodes: int) -> list[int]:
    """Processes of one kind that live now."""
    if kind == "supervisor":
        return [run.read().supervisor or 0]
    reports = [read_report(run.reports, node) for node in range(nodes)]
    if kind == "agent":
        return [report.agent_pid for report in reports if report]
    return [rank.pid for report in reports if report for rank in report.ranks]


def requested(workspace: Workspace, script: Path, curated: str, distribution: dict, trigger: str) -> RunRequest:
    """What a program would submit: the script over MNIST, for a few epochs."""
    base = os.environ["MNIST_BASE_URL"].rstrip("/")
    data = dataset.register(
        workspace, dataset.DatasetSpec(name="mnist", urls=tuple(f"{base}/{name}-ubyte.gz" for name in FILES))
    )
    spec = environment.get_curated(curated)
    lock = environment.lock(spec)
    return RunRequest(
        name="chaos",
        spec=RunSpec(
            script=script.name,
            files=snapshot.take(script.parent).files,
            arguments=canonical({"--data-folder": "${dataset:mnist}", "--epochs": EPOCHS}),
            datasets={"mnist": data.digest},
            environment=RunEnvironment(digest=lock.digest, variables=dict(spec.variables)),
            distribution=distribution,
            trigger=trigger,
        ),
        environment=LockedEnvironment(spec=spec, lock=lock),
        datasets={"mnist": DatasetReference(name="mnist", version=data.version)},
        compute=ComputeSpec(name="local", max_nodes=distribution.get("node_count", 1)),
    )


def first_epoch_after(run: RunDirectory, moment: float) -> float:
    """Wait for the first epoch that is logged after a moment; gives when it was."""
    until(lambda: any(at > moment for at, _ in epochs(run)), 180)
    return next(at for at, _ in epochs(run) if at > moment)


@pytest.mark.timeout(300 + 200 * ROUNDS)
@pytest.mark.parametrize(
    ("program", "curated", "distribution"),
    [
        ("mnist/scripts/tf_mnist.py", "tensorflow-2.15", ALONE),
        ("mnist_horovod/scripts/tf_mnist_horovod.py", "tensorflow-2.15-horovod", GROUP),
    ],
    ids=["alone", "group"],
)
@pytest.mark.long
def test_a_killed_training_goes_on_from_its_last_epoch(tmp_path, program, curated, distribution, capsys):
    chance = random.Random(SEED)
    workspace = Workspace.create(tmp_path / "ws", "ws")
    script = PROGRAMS / program
    spec = environment.get_curated(curated)
    environment.build(spec, environment.lock(spec))
    killed: list[str] = []
    beyond: list[float] = []
    for number in range(ROUNDS):
        request = requested(workspace, script, curated, distribution, str(number))
        began = time.time()
        run = submission.submit(workspace, request, script.parent, {}).directory
        usual = first_epoch_after(run, 0) - began
        for _ in range(KILLS):
            time.sleep(chance.uniform(0, 1.5))
            kind = chance.choice(("supervisor", "agent", "rank"))
            if run.read().status.ended:
                break
            began = time.time()
            os.kill(chance.choice(victims(run, kind, distribution.get("node_count", 1))), signal.SIGKILL)
            killed.append(kind)
            until(lambda run=run: not run.has_supervisor() and not processes(run.root), 60)
            again = submission.submit(workspace, request, script.parent, {})
            assert again.outcome is Outcome.RESUMED
            beyond.append(first_epoch_after(run, began) - began - usual)
        record = submission.follow(run)
        steps = [step for _, step in epochs(run)]
        assert set(steps) == set(range(1, EPOCHS + 1))
        # An epoch is done again only when its checkpoint was still being written.
        assert len(steps) - EPOCHS <= KILLS, steps
        assert record.metrics["accuracy"] > 0.96
        assert (run.outputs / "model" / "saved_model.pb").is_file()
        until(lambda run=run: not processes(run.root), 10)
    with capsys.disabled():
        told = ", ".join(f"{kind} {seconds:+.1f} s" for kind, seconds in zip(killed, beyond, strict=True))
        print(f"\nchaos: {script.name}: from a kill to the next epoch, beside a first start to its first: {told}")
    assert max(beyond) < RECOVERY_SECONDS
