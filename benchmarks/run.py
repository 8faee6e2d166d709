"""A run as `pulumi up` makes it, beside the same script in the same environment started by hand.

Both train MNIST for a few epochs and save the model; ours also waits for a slot, supervises, digests the outputs and
follows the metrics. Needs MNIST_BASE_URL. Usage: `python -m benchmarks.run [--pairs N] [--epochs N]`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import description, in_turns
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

SCRIPTS = Path(__file__).parents[1] / "programs" / "mnist" / "scripts"
FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A run inside `pulumi up` beside the same script by hand.")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    base = os.environ.get("MNIST_BASE_URL") or sys.exit("MNIST_BASE_URL names no folder with the four files: set it")
    print(description())
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as folder:
        workspace = Workspace.create(Path(folder) / "workspace", "benchmark")
        urls = tuple(f"{base.rstrip('/')}/{name}-ubyte.gz" for name in FILES)
        data = dataset.register(workspace, dataset.DatasetSpec(name="mnist", urls=urls))
        spec = environment.get_curated("tensorflow-2.15")
        lock = environment.lock(spec)
        python = environment.build(spec, lock).python
        tries = itertools.count()

        def ours() -> None:
            request = RunRequest(
                name="mnist",
                spec=RunSpec(
                    script="tf_mnist.py",
                    files=snapshot.take(SCRIPTS).files,
                    arguments=canonical({"--data-folder": "${dataset:mnist}", "--epochs": options.epochs}),
                    datasets={"mnist": data.digest},
                    environment=RunEnvironment(digest=lock.digest, variables=dict(spec.variables)),
                    trigger=str(next(tries)),
                ),
                environment=LockedEnvironment(spec=spec, lock=lock),
                datasets={"mnist": DatasetReference(name="mnist", version=data.version)},
                compute=ComputeSpec(name="local"),
            )
            submission.follow(submission.submit(workspace, request, SCRIPTS, {}).directory)

        def by_hand() -> None:
            here = Path(folder) / f"by-hand-{next(tries)}"
            dataset.lend_into(workspace, data, here / "data")
            threads = str(os.cpu_count() or 1)
            variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | spec.variables
            variables |= {name: value.format(rank=0) for name, value in tracking.variables(here / "tracking").items()}
            variables |= dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), threads)
            variables |= {"TRAINSTACK_CHECKPOINT_DIR": str(here / "checkpoints"), "PATH": os.environ["PATH"]}
            subprocess.run(
                [python, SCRIPTS / "tf_mnist.py", "--data-folder", here / "data", "--epochs", str(options.epochs)],
                cwd=here,
                env=variables,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )

        pair = in_turns(ours, by_hand, options.pairs)
    print(pair.row("MNIST: the run inside `up` / the script by hand", "at most 5 % and 2 s more"))


if __name__ == "__main__":
    main()
