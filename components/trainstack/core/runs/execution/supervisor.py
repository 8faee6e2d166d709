"""The process that drives a run, and outlives the `pulumi up` that started it.

Started by `submission` as `main(RUN_DIRECTORY, ATTEMPTS)`, secrets on its
standard input. It holds the run's lock, is the only writer of `run.json`, takes the run through as many attempts as
were asked for, and ends every process that it started, whatever happens.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from trainstack.agent.ranks import orphans
from trainstack.agent.reporting.report import SUCCEEDED, read_report
from trainstack.core.compute import compute
from trainstack.core.environments import environment
from trainstack.core.runs import cost, distribution, heartbeat, location, reserve, saved_progress
from trainstack.core.runs.directory import Failure, RunDirectory, RunRecord, Status
from trainstack.core.runs.execution import inputs, retry
from trainstack.core.runs.execution.attempt import Attempt
from trainstack.core.runs.execution.training import TrainingFailedError
from trainstack.core.runs.execution.watch import Stopped, Watch
from trainstack.core.runs.record import Cause
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import PreemptedError, TrainstackError
from trainstack.mlflow import metric_files as tracking
from trainstack.storage.atomic import full_disk
from trainstack.targets.base import NodeGroup

_FULL_BYTES = 1024 * 1024
_ADOPTED_SECONDS = 5.0


class Supervisor:
    """The attempts of one submission, to their end."""

    def __init__(self, directory: RunDirectory, secrets: dict[str, str]) -> None:
        self._directory = directory
        self._secrets = secrets
        self._request: RunRequest = directory.request()
        self._record: RunRecord = directory.read()
        self._compute = self._request.compute
        self._target = compute.target_of(self._compute)
        self._ref = location.ref_of(directory)
        self.watch = Watch(directory.root, stop_when_alone=self._request.on_disconnect == "stop")

    def run(self) -> None:
        """Drive the run to an end and write which one it was."""
        try:
            self._attempts()
            self._end(Status.COMPLETED, "")
            # Only now: killed a moment earlier, the run still needs it.
            shutil.rmtree(self._directory.checkpoints, ignore_errors=True)
        except Stopped as stop:
            self._end(Status.CANCELED, str(stop))
        except TrainingFailedError as exc:
            self._record.failure = exc.failure
            self._end(Status.FAILED, str(exc) + self._full_disk_note())
        except TrainstackError as exc:
            self._end(Status.FAILED, str(exc))
        except OSError as exc:
            _print_trace()
            full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
            self._end(Status.FAILED, full_disk(Path(exc.filename or self._directory.root)) if full else str(exc))
        except Exception as exc:  # noqa: BLE001 (the record must not stay "running", and the trace is kept in our log)
            _print_trace()
            where = self._directory.root / "supervisor.txt"
            self._end(Status.FAILED, f"{type(exc).__name__}: {exc}; the trace is in {where}")
        finally:
            self._leave()

    def _attempts(self) -> None:
        record = self._record
        group = self._left_running()
        if group is None and self._script_ended_well():
            self._directory.event("finalizing only", attempt=record.attempt)
            self._attempt().finalize()
            return
        before = record.attempt - (group is not None)
        last = before + self._request.max_attempts
        while True:
            if group is None:
                self.watch.check()
                self._begin()
            attempt = self._attempt()
            try:
                if group is None:
                    attempt.run()
                else:
                    attempt.go_on(group)
            except PreemptedError as exc:
                group, last = None, last + 1
                self._wait(Failure(cause=Cause.PREEMPTED, reason=str(exc)), 1, last)
            except TrainingFailedError as exc:
                if exc.failure.cause is Cause.PREEMPTED:
                    # No failure of its own: it waits in line again, and goes on from what it has saved.
                    group, last = None, last + 1
                    self._wait(exc.failure, 1, last)
                    continue
                if record.attempt >= last or not retry.curable(exc.failure, self._request):
                    raise
                group = None
                self._wait(exc.failure, record.attempt - before, last)
            else:
                return

    def _attempt(self) -> Attempt:
        return Attempt(self._directory, self._request, self._record, self._secrets, self.watch, self._target)

    def _script_ended_well(self) -> bool:
        """Whether the supervisor before was killed when only the outputs were still to be kept."""
        record, directory = self._record, self._directory
        if not record.stages or record.failure is not None or not directory.outputs.is_dir():
            return False
        if record.stages[-1].name is Status.FINALIZING:
            return True
        if record.stages[-1].name is not Status.RUNNING or str(self._target.layout(self._ref).outputs) != str(
            directory.outputs
        ):
            return False
        # All that the nodes wrote is here already, so that their own word is enough.
        _, count = distribution.parse(self._request.spec.distribution)
        return all(
            (report := read_report(directory.reports, node)) is not None and report.state == SUCCEEDED
            for node in range(count)
        )

    def _left_running(self) -> NodeGroup | None:
        """Nodes that went on when the supervisor before was killed."""
        record, earlier = self._record, location.last_compute(self._directory)
        if not record.attempt or earlier is None or not location.same_place(earlier, self._compute):
            return None
        _, count = distribution.parse(self._request.spec.distribution)
        group = self._target.attach(self._ref, record.attempt, count)
        if group is not None:
            record.supervisor = os.getpid()
            record.failure = None
            self._directory.event("taken over", attempt=record.attempt)
        return group

    def _begin(self) -> None:
        """Begin an attempt: nothing of the one before may still run, and what it saved is said."""
        record, directory = self._record, self._directory
        self._clear_earlier()
        for report in directory.reports.glob("*.json"):
            report.unlink()
        record.earlier_node_seconds = cost.attempts_seconds(record, self._request)
        record.node_seconds = record.cost = None
        record.attempt += 1
        record.supervisor = os.getpid()
        record.failure, record.stages, record.metrics, record.duration, record.resumed = None, [], {}, None, ""
        if record.attempt > 1:
            record.resumed = saved_progress.sentence(directory.checkpoints, directory.tracking)
            directory.event("resumed", attempt=record.attempt, saved=record.resumed)

    def _clear_earlier(self) -> None:
        """Fetch and remove what the attempt before left, wherever that was."""
        earlier = location.last_compute(self._directory)
        if earlier is None:
            return
        try:
            location.clear(compute.target_of(earlier), self._ref)
        except TrainstackError as exc:
            if location.same_place(earlier, self._compute):
                raise
            # A place that was given up on must not hold up the run elsewhere.
            self._directory.event("left behind", reason=str(exc))

    def _wait(self, failure: Failure, tries: int, last: int) -> None:
        """Say why there is another attempt, and wait a little longer each time."""
        seconds = retry.backoff(self._request.backoff, tries)
        record = self._record
        record.failure = failure
        record.status = Status.PREPARING
        record.reason = f"attempt {record.attempt + 1} of {last} in {seconds:g} s: {failure.reason}"
        self._directory.write(record)
        self._directory.event("retry", attempt=record.attempt + 1, of=last, seconds=seconds, reason=failure.reason)
        location.clear(self._target, self._ref)
        self._end_adopted()
        self.watch.pause(seconds)

    def _leave(self) -> None:
        """Leave nothing behind. What a place does not give back now stays there for the next `up`, or for `gc`."""
        inputs.share(Workspace.open(self._directory.root.parents[1]), self._directory, self._request)
        try:
            location.clear(self._target, self._ref)
        except TrainstackError as exc:
            self._directory.event("left behind", reason=str(exc))
        self._end_adopted()

    def _end_adopted(self) -> None:
        """End what an agent that was killed has left to us: it may have cleared its environment, and so its marker."""
        if self._compute.plugin.capabilities.same_machine:
            orphans.end_descendants(_ADOPTED_SECONDS)

    def _full_disk_note(self) -> str:
        """What a script that failed may have failed of, and did not say in words of ours."""
        disk = shutil.disk_usage(self._directory.root)
        return f" ({full_disk(self._directory.outputs)})" if disk.free < _FULL_BYTES else ""

    def _end(self, status: Status, reason: str) -> None:
        record = self._record
        reserve.give_back(self._directory.root)
        record.status, record.reason = status, reason
        record.metrics = tracking.last(self._directory.tracking)
        record.node_seconds = cost.attempts_seconds(record, self._request)
        record.cost = cost.amount(self._compute, record.node_seconds)
        record.currency = self._compute.currency
        record.supervisor = None
        facts: dict[str, Any] = {"node_seconds": record.node_seconds, "cost": record.cost, "currency": record.currency}
        if status is Status.COMPLETED:
            # Enough to write the record anew, should it be damaged.
            facts |= {"duration": record.duration, "metrics": record.metrics, "outputs": record.outputs}
        self._directory.event("end", status=status.value, attempt=record.attempt, reason=reason, **facts)
        self._directory.write(record)


def _print_trace() -> None:
    """Print the exception that is being handled to our log, which a full disk cuts short."""
    with contextlib.suppress(OSError):
        traceback.print_exc()


def preload() -> None:
    """Make what every run needs and its modules leave for later, in a process that starts many supervisors."""
    for model in (RunRecord, RunRequest, compute.ComputeSpec, environment.EnvironmentSpec, environment.Lock):
        model.model_rebuild()
    compute.target_of(compute.ComputeSpec(name="", max_nodes=1))
    # The first requirement that is checked loads what checks them.
    environment.EnvironmentSpec.from_packages("warm", ["packaging"])


def main(path: str, attempts: str) -> None:
    """Drive a run, unless somebody does already or has done since it was submitted.

    Args:
        path: The run directory.
        attempts: How many attempts there were when this one was submitted.
    """
    directory = RunDirectory(Path(path))
    secrets: dict[str, str] = json.loads(sys.stdin.read() or "{}")
    with directory.lock() as mine:
        # A submission that is killed before its supervisor has the lock is followed by one with a supervisor of its
        # own. The later of the two may get the lock only when the other has finished.
        if not mine or directory.read().attempt != int(attempts):
            return
        supervisor = Supervisor(directory, secrets)
        signal.signal(signal.SIGTERM, supervisor.watch.request_stop)
        signal.signal(signal.SIGINT, supervisor.watch.request_stop)
        reserve.keep(directory.root)
        orphans.adopt_orphans()
        with heartbeat.beating(directory.root):
            supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
