"""One attempt of a run: its four stages, each with a reason and a clock in the record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from pathlib import Path

from trainstack.lifecycle import compute, distribution, preparation
from trainstack.lifecycle.run import RunDirectory, RunRecord, RunRequest, Stage, Status
from trainstack.lifecycle.training import Training
from trainstack.lifecycle.watch import Watch
from trainstack.lifecycle.workspace import Workspace
from trainstack.store.digest import of_file
from trainstack.targets import Target


class Attempt:
    """From preparing to kept outputs. What goes wrong is raised; the supervisor says what it means for the run."""

    def __init__(
        self,
        directory: RunDirectory,
        request: RunRequest,
        record: RunRecord,
        secrets: dict[str, str],
        watch: Watch,
        target: Target,
    ) -> None:
        self._directory = directory
        self._workspace = Workspace.open(directory.root.parent.parent)
        self._request = request
        self._record = record
        self._secrets = secrets
        self._watch = watch
        self._target = target

    def run(self) -> None:
        """Go through the stages.

        Raises:
            Stopped: Somebody asked for the end.
            TrainingFailed: The script ended badly.
            TrainstackError: Anything else that a person can act on.
        """
        record = self._record
        started = time.monotonic()
        with self._stage(Status.PREPARING, f"environment {self._request.environment['spec']['name']}"):
            python = preparation.prepare(self._workspace, self._directory, self._request, self._because)
        with contextlib.ExitStack() as held:
            with self._stage(Status.SCALING, f"compute {self._request.compute['name']}"):
                self._scale(held)
            again = f"attempt {record.attempt} {record.resumed}".rstrip() if record.attempt > 1 else ""
            with self._stage(Status.RUNNING, again):
                self._train(python)
        with self._stage(Status.FINALIZING, "keeping outputs"):
            self._finalize()
        record.duration = time.monotonic() - started

    @contextlib.contextmanager
    def _stage(self, name: Status, reason: str) -> Generator[None]:
        self._watch.check()
        stage = Stage(name=name, reason=reason, started=time.time())
        self._record.stages.append(stage)
        self._record.status, self._record.reason = name, reason
        self._directory.write(self._record)
        self._directory.event("stage", status=name.value, attempt=self._record.attempt, reason=reason)
        try:
            yield
        finally:
            stage.ended = time.time()

    def _because(self, reason: str) -> None:
        """Say what the current stage is doing now."""
        self._watch.check()
        self._record.stages[-1].reason = reason
        self._record.reason = reason
        self._directory.write(self._record)

    def _scale(self, held: contextlib.ExitStack) -> None:
        spec = compute.ComputeSpec.model_validate(self._request.compute)
        _, count = distribution.parse(self._request.spec.distribution)
        nodes = held.enter_context(compute.slots(self._workspace, spec, count, self._because, self._watch.stopped))
        self._watch.check()
        self._because(f"{len(nodes)} of {spec.max_nodes} nodes of {spec.name}")

    def _train(self, python: Path) -> None:
        training = Training(self._directory, self._request, self._target)
        training.start(python, self._secrets)
        try:
            training.wait(self._watch.check)
        finally:
            training.end(self._watch.heartbeat)

    def _finalize(self) -> None:
        """Digest the outputs, so that drift can be told."""
        outputs = self._directory.outputs
        self._record.outputs = {
            path.relative_to(outputs).as_posix(): of_file(path) for path in sorted(outputs.rglob("*")) if path.is_file()
        }
