"""The command itself, a workspace for it, run directories written as a supervisor writes them, and real runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.sample_runs import WRITTEN
from typer.testing import CliRunner, Result

import trainstack
from trainstack.cli.app import app
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.runs import snapshot
from trainstack.core.runs.arguments import canonical
from trainstack.core.runs.directory import RunDirectory, RunRecord, Stage, Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.fields import RunEnvironment, RunSettings, RunSpec
from trainstack.core.runs.request import LockedEnvironment, RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.atomic import write_json

CREATED = 1_700_000_000.0


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    opened = Workspace.create(tmp_path / "workspace", "tests")
    monkeypatch.setenv("TRAINSTACK_WORKSPACE", str(opened.root))
    return opened


@pytest.fixture
def cli() -> Callable[..., Result]:
    def call(*words: str) -> Result:
        return CliRunner().invoke(app, list(words), prog_name="trainstack")

    return call


@pytest.fixture
def json_output(cli: Callable[..., Result]) -> Callable[..., Any]:
    """What a command that must succeed says with --json."""

    def call(*words: str) -> Any:
        result = cli(*words, "--json")
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)

    return call


@pytest.fixture
def program(workspace: Workspace) -> tuple[list[str], dict[str, str]]:
    """The command as a program: its words and its environment."""
    source = str(Path(trainstack.__file__).parents[1])
    return [sys.executable, "-m", "trainstack.cli"], {**os.environ, "PYTHONPATH": source}


@pytest.fixture
def written(workspace: Workspace) -> Callable[..., RunDirectory]:
    """A run directory as it would be in some state, without a supervisor."""

    def write(run_id: str, *, request: dict[str, Any] | None = None, **facts: Any) -> RunDirectory:
        directory = RunDirectory(workspace.run(run_id))
        record = {"name": "mnist", "status": Status.COMPLETED, "created": CREATED, "updated": CREATED, "attempt": 1}
        directory.write(RunRecord(id=run_id, **{**record, **facts}))
        spec = {"script": "train.py", "files": {"train.py": "0" * 64}, "environment": {"digest": "e" * 64}}
        write_json(directory.root / "spec.json", {"name": "mnist", **WRITTEN, "spec": {**spec, **(request or {})}})
        return directory

    return write


@pytest.fixture
def stage() -> Callable[..., Stage]:
    def make(name: Status, began: float, ended: float | None, reason: str = "") -> Stage:
        return Stage(
            name=name, reason=reason, started=CREATED + began, ended=None if ended is None else CREATED + ended
        )

    return make


@pytest.fixture(scope="session")
def tiny() -> tuple[EnvironmentSpec, environment.Lock]:
    """A real training environment, of one package."""
    spec = EnvironmentSpec.from_packages("tiny", ["six==1.17.0"])
    lock = environment.lock(spec)
    environment.build(spec, lock)
    return spec, lock


@pytest.fixture
def started(workspace: Workspace, tmp_path: Path, tiny: Any) -> Callable[..., RunDirectory]:
    """A real run of a script, under a real supervisor."""
    spec, lock = tiny

    def start(script: str, arguments: dict[str, Any] | None = None, **parts: Any) -> RunDirectory:
        how = {name: parts.pop(name) for name in RunSettings.model_fields if name in parts}
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        (source / "train.py").write_text(script)
        request = RunRequest(
            name="tiny",
            spec=RunSpec(
                script="train.py",
                files=snapshot.take(source).files,
                arguments=canonical(arguments or {}),
                environment=RunEnvironment(digest=lock.digest),
                **parts,
            ),
            environment=LockedEnvironment(spec=spec, lock=lock),
            compute=ComputeSpec(name="local", max_nodes=1),
            grace=2.0,
            tags={"stack": "local"},
            **how,
        )
        return submission.submit(workspace, request, source, {}).directory

    return start


@pytest.fixture
def holding() -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """Holds a lock file, as another process would."""

    @contextlib.contextmanager
    def hold(path: Path) -> Iterator[None]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    return hold
