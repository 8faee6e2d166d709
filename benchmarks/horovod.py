"""Horovod as we start it, beside bare `horovodrun -np 2`; how it scales from one rank to two; what a reduction costs.

The same script, data, environment and threads for both. Needs MNIST_BASE_URL and two cores. Usage:
`python -m benchmarks.horovod [--pairs N] [--epochs N]`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import loopback
from benchmarks.machine import description, in_turns, note
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.datasets import dataset
from trainstack.core.environments import environment
from trainstack.core.runs import snapshot
from trainstack.core.runs.arguments import canonical
from trainstack.core.runs.execution import submission
from trainstack.core.runs.fields import RunEnvironment, RunSpec
from trainstack.core.runs.request import DatasetReference, LockedEnvironment, RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.mlflow import metric_files as tracking
from trainstack.targets.local.node import PASSED_ON

SCRIPTS = Path(__file__).parents[1] / "programs" / "mnist_horovod" / "scripts"
OWN_SCRIPTS = Path(__file__).parent / "horovod_scripts"
FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
ONE_THREAD: dict[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
ARGUMENTS = {"--batch-size": 64, "--learning-rate": 0.01}


class Bench:
    """A workspace, the environment with Horovod, and the MNIST files."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self.workspace = Workspace.create(folder / "workspace", "benchmark")
        urls = tuple(f"{base.rstrip('/')}/{name}-ubyte.gz" for name in FILES)
        self.data = dataset.register(self.workspace, dataset.DatasetSpec(name="mnist", urls=urls))
        self.spec = environment.get_curated("tensorflow-2.15-horovod")
        self.lock = environment.lock(self.spec)
        self.python = environment.build(self.spec, self.lock).python
        self.tries = itertools.count()

    def run(self, scripts: Path, script: str, arguments: dict[str, Any], ranks: int) -> dict[str, float]:
        """Submit a run of so many ranks with a thread each, wait for it, and return its metrics."""
        described = "${dataset:mnist}" in arguments.values()
        request = RunRequest(
            name="benchmark",
            spec=RunSpec(
                script=script,
                files=snapshot.take(scripts).files,
                arguments=canonical(arguments),
                datasets={"mnist": self.data.digest} if described else {},
                environment=RunEnvironment(digest=self.lock.digest, variables=dict(self.spec.variables)),
                environment_variables=ONE_THREAD,
                distribution={"kind": "horovod", "node_count": 1, "processes_per_node": ranks},
                trigger=str(next(self.tries)),
            ),
            environment=LockedEnvironment(spec=self.spec, lock=self.lock),
            datasets={"mnist": DatasetReference(name="mnist", version=self.data.version)} if described else {},
            compute=ComputeSpec(name="local"),
        )
        return submission.follow(submission.submit(self.workspace, request, scripts, {}).directory).metrics

    def bare(self, scripts: Path, script: str, arguments: dict[str, Any]) -> dict[str, float]:
        """Start two ranks of the same with `horovodrun`, and return the metrics."""
        here = self.folder / f"bare-{next(self.tries)}"
        dataset.lend_into(self.workspace, self.data, here / "data")
        variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | self.spec.variables
        variables |= {name: value.format(rank=0) for name, value in tracking.variables(here / "tracking").items()}
        variables |= ONE_THREAD
        variables |= {
            "TRAINSTACK_CHECKPOINT_DIR": str(here / "checkpoints"),
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
        }
        words = [
            str(word)
            for pair in arguments.items()
            for word in (pair[0], here / "data" if pair[1] == "${dataset:mnist}" else pair[1])
        ]
        launcher = [self.python.parent / "horovodrun", "-np", "2", "--gloo"]
        done = subprocess.run(
            [*launcher, self.python, scripts / script, *words],
            cwd=here,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return tracking.last(here / "tracking")


def beside_horovodrun(bench: Bench, pairs: int, epochs: int) -> None:
    """Whole time and steps a second of the MNIST script, ours and bare in turns."""
    arguments = {"--data-folder": "${dataset:mnist}", "--epochs": epochs, **ARGUMENTS}
    ours: list[float] = []
    bare: list[float] = []
    pair = in_turns(
        lambda: ours.append(bench.run(SCRIPTS, "tf_mnist_horovod.py", arguments, 2)["steps_per_second"]),
        lambda: bare.append(bench.bare(SCRIPTS, "tf_mnist_horovod.py", arguments)["steps_per_second"]),
        pairs,
    )
    ratio = statistics.median(one / other for one, other in zip(ours[1:], bare[1:], strict=True))
    print(pair.row("MNIST on two ranks: our run / `horovodrun -np 2`", "at most 1 s more"))
    note("steps a second: ours / `horovodrun`", ratio, "", "", "at least 0.98", more_is_better=True)
    print(
        f"| its steps a second: ours / `horovodrun` | {statistics.median(ours[1:]):.1f} /s "
        f"| {statistics.median(bare[1:]):.1f} /s | {ratio:.3f} | | at least 0.98 |",
        flush=True,
    )


def weak_scaling(bench: Bench, pairs: int) -> None:
    """Examples a second of two ranks beside one, a thread each, and how much of that the reduction costs."""
    one: list[float] = []
    two: list[dict[str, float]] = []
    for _ in range(pairs):
        one.append(bench.run(OWN_SCRIPTS, "weak_scaling.py", {}, 1)["examples_per_second"])
        two.append(bench.run(OWN_SCRIPTS, "weak_scaling.py", {}, 2))
    for name, what, goal in (
        ("examples_per_second", "two ranks / twice one", "at least 0.9"),
        ("examples_per_second_apart", "the same two without a reduction / twice one", "what the cores can"),
    ):
        found = [metrics[name] for metrics in two]
        ratio = statistics.median(many / (2 * single) for many, single in zip(found, one, strict=True))
        print(
            f"| weak scaling, examples: {what} | {statistics.median(found):.0f} /s "
            f"| {2 * statistics.median(one):.0f} /s | {ratio:.2f} | | {goal} |"
        )
    share = statistics.median(metrics["reduction"] for metrics in two)
    note("two ranks with / without a reduction", share, "", "", "at least 0.9", more_is_better=True)
    print(f"| the two with / without a reduction, turn by turn | | | {share:.2f} | | at least 0.9 |", flush=True)


def reduction(bench: Bench, pairs: int) -> None:
    """Milliseconds of an allreduce of 64 MiB beside an exchange of the same bytes over plain TCP."""
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(pairs):
        ours.append(bench.run(OWN_SCRIPTS, "allreduce.py", {}, 2)["milliseconds"])
        plain.append(loopback.milliseconds(64 * 2**20))
    ratio = statistics.median(one / other for one, other in zip(ours, plain, strict=True))
    note("allreduce of 64 MiB / the loopback", ratio, "", "", "reported")
    print(
        f"| allreduce of 64 MiB on two ranks / the same bytes exchanged over 127.0.0.1 | {statistics.median(ours):.0f} "
        f"ms | {statistics.median(plain):.0f} ms | {ratio:.2f} | | reported |",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Horovod through Trainstack, beside horovodrun.")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    base = os.environ.get("MNIST_BASE_URL") or sys.exit("MNIST_BASE_URL names no folder with the four files: set it")
    print(description(), flush=True)
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as folder:
        bench = Bench(Path(folder), base)
        reduction(bench, options.pairs)
        weak_scaling(bench, options.pairs)
        beside_horovodrun(bench, options.pairs, options.epochs)


if __name__ == "__main__":
    main()
