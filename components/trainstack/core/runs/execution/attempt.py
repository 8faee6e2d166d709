"""One attempt of a run: its four stages, each with a reason and a clock in the record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator

from trainstack.core.compute import compute
from trainstack.core.runs import artifacts, distribution, location
from trainstack.core.runs.directory import RunDirectory, RunRecord, Stage, Status
from trainstack.core.runs.execution import preparation
from trainstack.core.runs.execution.training import Training
from trainstack.core.runs.execution.watch import Watch
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.base import NodeGroup, Target


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
        self._ref = location.ref_of(directory)

    def run(self) -> None:
        """Go through the stages.

        Raises:
            Stopped: Somebody asked for the end.
            TrainingFailedError: The script ended badly.
            TrainstackError: Anything else that a person can act on.
        """
        record = self._record
        started = time.monotonic()
        with self._stage(Status.PREPARING, f"environment {self._request.environment.spec.name}"):
            runtime = preparation.prepare(
                self._workspace, self._directory, self._request, self._target, self._secrets, self._because
            )
        with contextlib.ExitStack() as slots_held:
            with self._stage(Status.SCALING, f"compute {self._request.compute.name}"):
                self._scale(slots_held)
            again = f"attempt {record.attempt} {record.resumed}".rstrip() if record.attempt > 1 else ""
            training = Training(self._directory, self._request, self._target, self._ref, waiting=self._waiting)
            with self._stage(Status.RUNNING, again), self._ended(training):
                location.note(self._directory, self._request.compute)
                training.start(runtime, record.attempt, self._secrets)
                # What the start waited for is over.
                self._waiting(again)
                training.wait(self._watch.check)
        self._finalize()
        record.duration = time.monotonic() - started

    def go_on(self, group: NodeGroup) -> None:
        """Go on with nodes that outlived their supervisor, from the running stage on; raises as `run` does."""
        record = self._record
        since = next((stage.started for stage in record.stages if stage.name is Status.RUNNING), time.time())
        begun = record.stages[0].started if record.stages else since
        training = Training(self._directory, self._request, self._target, self._ref, group)
        record.stages = [stage for stage in record.stages if stage.name is not Status.RUNNING]
        reason = f"attempt {record.attempt} went on without its supervisor"
        with self._ended(training), contextlib.ExitStack() as slots_held, self._stage(Status.RUNNING, reason):
            record.stages[-1].started = since
            self._scale(slots_held, patient=False)
            training.wait(self._watch.check, elapsed=max(0.0, time.time() - since))
        self._finalize()
        record.duration = max(0.0, time.time() - begun)

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

    def _waiting(self, reason: str) -> None:
        """Look whether the run is to end, and say what its nodes wait for when that changes."""
        self._watch.check()
        if reason != self._record.reason:
            self._because(reason)

    def _scale(self, slots_held: contextlib.ExitStack, *, patient: bool = True) -> None:
        spec = self._request.compute
        _, count = distribution.parse(self._request.spec.distribution)
        slots = compute.slots(self._workspace, spec, count, self._because, self._watch.stopped, patient=patient)
        nodes = slots_held.enter_context(slots)
        self._watch.check()
        if patient:
            self._because(f"{len(nodes)} of {spec.max_nodes} nodes of {spec.name}")

    @contextlib.contextmanager
    def _ended(self, training: Training) -> Generator[None]:
        """Whatever happens in the block, no node outlives it."""
        try:
            yield
        finally:
            training.end(self._watch.heartbeat)

    def _finalize(self) -> None:
        """Digest the outputs, so that drift can be told."""
        with self._stage(Status.FINALIZING, "keeping outputs"):
            self._record.outputs = artifacts.digest_outputs(self._directory)
