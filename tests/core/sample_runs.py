"""Runs for tests: a plain script that saves its state, the smallest real environment, and a request for them."""

import json
from pathlib import Path
from typing import Any

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.runs import snapshot
from trainstack.core.runs.arguments import canonical
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.fields import RunEnvironment, RunSpec
from trainstack.core.runs.request import LockedEnvironment, RunRequest

SCRIPT = """
import json, os, pathlib, sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
pathlib.Path("outputs/seen.json").write_text(json.dumps(
    {"argv": sys.argv[1:], "cwd": os.getcwd(), "token": os.environ.get("TOKEN"), "variable": os.environ.get("V")}))
state = pathlib.Path(os.environ["TRAINSTACK_CHECKPOINT_DIR"], "step")
step = int(state.read_text()) if state.exists() else 0
resumed = step > 0
print("starting at", step, flush=True)
while step < int(arguments.get("--steps", 1)):
    step += 1
    time.sleep(float(arguments.get("--pause", 0)))
    aside = state.with_name("aside")
    aside.write_text(str(step))
    aside.rename(state)
    print("step", step, flush=True)
if "--exit" in arguments:
    print("about to fail", file=sys.stderr)
    sys.exit(int(arguments["--exit"]))
pathlib.Path("outputs/model").mkdir(exist_ok=True)
pathlib.Path("outputs/model/weights").write_text(str(step))
"""
WRITTEN = {
    "environment": {
        "spec": {"name": "tiny"},
        "lock": {"python": "3.11", "packages": {}, "text": "", "digest": "e" * 64},
    },
    "compute": {"name": "local"},
}
"""What `spec.json` holds besides a run's name and spec, where a test does not start it."""


def tiny_environment() -> tuple[EnvironmentSpec, environment.Lock]:
    """A real training environment, of one package."""
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"])
    lock = environment.lock(spec)
    environment.build(spec, lock)
    return spec, lock


def request(packages, source: Path, arguments=None, *, compute=None, parts=None, **how) -> RunRequest:
    spec, lock = packages
    code = snapshot.take(source)
    return RunRequest(
        name="tiny",
        spec=RunSpec(
            script="train.py",
            files=code.files,
            executables=code.executables,
            arguments=canonical(arguments or {}),
            environment=RunEnvironment(digest=lock.digest),
            **(parts or {}),
        ),
        environment=LockedEnvironment(spec=spec, lock=lock),
        compute=(compute or ComputeSpec(name="local", max_nodes=2)),
        **how,
    )


def calls_a_program(source: Path) -> None:
    """Make the script start a program of its own folder, which says so."""
    (source / "prepare.sh").write_text("#!/bin/sh\necho prepared\n")
    (source / "prepare.sh").chmod(0o755)
    (source / "train.py").write_text("import subprocess; subprocess.run(['./prepare.sh'], check=True)")


def imports_from(source: Path, folder: str) -> None:
    """Make the script import a module that is not beside it."""
    (source / folder).mkdir()
    (source / folder / "mine.py").write_text("print('found')")
    (source / "train.py").write_text("import mine")


def printed(directory: RunDirectory, text: str) -> bool:
    return directory.merged_log.is_file() and text in directory.merged_log.read_text()


def events(directory: RunDirectory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory.root / "events.jsonl").read_text().splitlines()]
