"""A run in a container beside the same script in the same image with `docker run` by hand.

Both get the same script, limits and user; ours also prepares, ships the code, brings outputs and logs home while they
are written, supervises and digests. By hand the folder is mounted, which only works on the engine's own machine. Needs
DOCKER_HOST and TRAINSTACK_BASE_IMAGE. Usage: `python -m benchmarks.docker [--pairs N]`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import description, in_turns
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.environments import environment
from trainstack.core.images import image
from trainstack.core.runs import snapshot
from trainstack.core.runs.arguments import canonical
from trainstack.core.runs.execution import submission
from trainstack.core.runs.fields import RunEnvironment, RunSpec
from trainstack.core.runs.request import LockedEnvironment, RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine.engine_api import connected

SCRIPT = """
import pathlib, time
for step in range(10):
    time.sleep(0.1)
    print("step", step, flush=True)
pathlib.Path("outputs/model").write_bytes(bytes(1_000_000))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A run in a container beside `docker run` by hand.")
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    docker = shutil.which("docker")
    if not (docker and os.environ.get("DOCKER_HOST") and os.environ.get("TRAINSTACK_BASE_IMAGE")):
        sys.exit("this needs the docker program, DOCKER_HOST, and TRAINSTACK_BASE_IMAGE: an image with Python 3.11")
    print(description())
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as folder, connected() as client:
        workspace = Workspace.create(Path(folder) / "workspace", "benchmark")
        source = Path(folder) / "source"
        source.mkdir()
        (source / "train.py").write_text(SCRIPT)
        spec = environment.EnvironmentSpec.from_packages("tiny", ["six==1.17.0"])
        lock = environment.lock(spec)
        made = image.ensure(spec, lock, client)
        tries = itertools.count()

        def ours() -> None:
            request = RunRequest(
                name="tiny",
                spec=RunSpec(
                    script="train.py",
                    files=snapshot.take(source).files,
                    arguments=canonical({}),
                    environment=RunEnvironment(digest=lock.digest),
                    trigger=str(next(tries)),
                ),
                environment=LockedEnvironment(spec=spec, lock=lock),
                compute=ComputeSpec(name="engine", target="docker"),
            )
            submission.follow(submission.submit(workspace, request, source, {}).directory)

        def by_hand() -> None:
            here = Path(folder) / f"by-hand-{next(tries)}"
            (here / "outputs").mkdir(parents=True)
            (here / "outputs").chmod(0o777)
            shutil.copy(source / "train.py", here)
            limits = ["--user", "10001:10001", "--cpus", "1", "--memory", "1g", "--workdir", "/work"]
            words = ["--volume", f"{here}:/work", "--entrypoint", made.python, made.reference, "train.py"]
            subprocess.run([docker, "run", "--rm", *limits, *words], stdout=subprocess.DEVNULL, check=True)

        pair = in_turns(ours, by_hand, options.pairs)
    print(pair.row("a run in a container / `docker run` by hand", "at most 1 s more"))


if __name__ == "__main__":
    main()
