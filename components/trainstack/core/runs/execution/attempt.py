"""One attempt of a run: its four stages, each with a reason and a clock in the record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator

from trainstack.abbreviation import counted
from trainstack.core.compute import compute
from trainstack.core.runs import artifacts, cost, distribution, location
from trainstack.core.runs.directory import RunDirectory, RunRecord, Stage, Status
from trainstack.core.runs.execution import inputs, preparation
from trainstack.core.runs.execution.training import Training, TrainingFailedError
from trainstack.core.runs.execution.watch import Watch
from trainstack.core.runs.record import Cause, Failure
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
        self._running_since = time.monotonic()

    def run(self) -> None:
        """Go through the stages.

        Raises:
            Stopped: Somebody asked for the end.
            TrainingFailedError: The script ended badly.
            TrainstackError: Anything else that a person can act on.
        """
        with self._last_stage_ended():
            self._enter(Status.PREPARING, f"environment {self._request.environment.spec.name}")
            runtime = preparation.prepare(
                self._workspace, self._directory, self._request, self._target, self._secrets, self._because
            )
            budget = cost.seconds_left(self._record, self._request)
            training = Training(
                self._directory,
                self._request,
                self._target,
                self._ref,
                waiting=self._waiting,
                all_running=self._enter_running,
            )
            with contextlib.ExitStack() as slots_held:
                self._enter(Status.SCALING, f"compute {self._request.compute.name}")
                self._scale(slots_held)
                with self._ended(training):
                    location.note(self._directory, self._request.compute)
                    training.start(runtime, self._record.attempt, self._secrets)
                    self._enter_running()
                    # What the start waited for is over.
                    self._waiting(self._attempt_reason)
                    training.wait(self._watch.check, budget=budget)
            self._finalize(time.monotonic() - self._running_since)

    def go_on(self, group: NodeGroup) -> None:
        """Go on with nodes that outlived their supervisor, from the running stage on; raises as `run` does."""
        record = self._record
        since = next((stage.started for stage in record.stages if stage.name is Status.RUNNING), time.time())
        elapsed = max(0.0, time.time() - since)
        training = Training(self._directory, self._request, self._target, self._ref, group)
        budget = cost.seconds_left(record, self._request)
        record.stages = [stage for stage in record.stages if stage.name in (Status.PREPARING, Status.SCALING)]
        reason = f"attempt {record.attempt} went on without its supervisor"
        with self._last_stage_ended():
            with self._ended(training), contextlib.ExitStack() as slots_held:
                self._enter(Status.RUNNING, reason, since)
                self._running_since = time.monotonic() - elapsed
                self._scale(slots_held, patient=False)
                training.wait(self._watch.check, elapsed=elapsed, budget=budget)
            self._finalize(time.monotonic() - self._running_since)

    def finalize(self) -> None:
        """Keep the outputs of a script that had ended well when its supervisor was killed."""
        record = self._record
        record.failure = None
        record.stages = [stage for stage in record.stages if stage.name is not Status.FINALIZING]
        running = record.stages[-1]
        if running.ended is None:
            running.ended = max(path.stat().st_mtime for path in self._directory.reports.glob("*.json"))
        with self._last_stage_ended():
            self._finalize(max(0.0, running.seconds))

    @contextlib.contextmanager
    def _last_stage_ended(self) -> Generator[None]:
        """Whatever happens in the block, no stage goes on after it."""
        try:
            yield
        finally:
            self._end_stage()

    def _enter(self, name: Status, reason: str, started: float | None = None) -> None:
        """End the stage before and begin another."""
        # That the script has ended well is written down first: whoever asks for the end now comes too late.
        if name is not Status.FINALIZING:
            self._watch.check()
        self._end_stage()
        self._record.stages.append(Stage(name=name, reason=reason, started=time.time() if started is None else started))
        self._record.status, self._record.reason = name, reason
        self._directory.write(self._record)
        self._directory.event("stage", status=name.value, attempt=self._record.attempt, reason=reason)

    def _end_stage(self) -> None:
        if self._record.stages and self._record.stages[-1].ended is None:
            self._record.stages[-1].ended = time.time()

    def _enter_running(self) -> None:
        """Begin to count, once: all nodes are there and run."""
        if self._record.status is not Status.RUNNING:
            self._running_since = time.monotonic()
            self._enter(Status.RUNNING, self._attempt_reason)

    @property
    def _attempt_reason(self) -> str:
        record = self._record
        return f"attempt {record.attempt} {record.resumed}".rstrip() if record.attempt > 1 else ""

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
            self._because(f"{len(nodes)} of {counted(spec.max_nodes, 'node')} of {spec.name}")

    @contextlib.contextmanager
    def _ended(self, training: Training) -> Generator[None]:
        """Whatever happens in the block, no node outlives it."""
        try:
            yield
        finally:
            training.end()

    def _finalize(self, duration: float) -> None:
        """Digest the outputs, so that drift can be told; a run that did not read what it was given does not complete.

        Raises:
            TrainingFailedError: Code or data changed under it.
        """
        self._enter(Status.FINALIZING, "keeping outputs")
        # Nodes elsewhere have copies of their own.
        if str(self._target.layout(self._ref).code) == str(self._directory.code):
            changed = inputs.changed(self._workspace, self._directory, self._request)
            if changed:
                inputs.tell_others(self._workspace, self._directory, changed)
                failure = Failure(cause=Cause.CHANGED_INPUTS, reason=inputs.sentence(changed))
                raise TrainingFailedError(failure.reason, failure)
        inputs.share(self._workspace, self._directory, self._request)
        self._record.outputs = artifacts.digest_outputs(self._directory)
        self._record.duration = duration
