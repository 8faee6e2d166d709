"""The process that drives a run, and outlives the `pulumi up` that started it.

Started by `submission` as `python -m trainstack.lifecycle.supervisor RUN_DIRECTORY ATTEMPTS`, secrets on its standard
input. It holds the run's lock, is the only writer of `run.json`, takes the run through as many attempts as were asked
for, and ends every process that it started, whatever happens.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.lifecycle import retry, saved
from trainstack.lifecycle.attempt import Attempt
from trainstack.lifecycle.run import Failure, RunDirectory, RunRecord, RunRequest, Status
from trainstack.lifecycle.training import TrainingFailed
from trainstack.lifecycle.watch import Stopped, Watch
from trainstack.targets import Target
from trainstack.targets.local import LocalTarget
from trainstack.tracking import files as tracking


class Supervisor:
    """The attempts of one submission, to their end."""

    def __init__(self, directory: RunDirectory, secrets: dict[str, str]) -> None:
        self._directory = directory
        self._secrets = secrets
        self._request: RunRequest = directory.request()
        self._record: RunRecord = directory.read()
        self._target: Target = LocalTarget()
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
        except TrainingFailed as exc:
            self._record.failure = exc.failure
            self._end(Status.FAILED, str(exc))
        except TrainstackError as exc:
            self._end(Status.FAILED, str(exc))
        except Exception as exc:  # noqa: BLE001 (the record must not stay "running", and the trace is kept in our log)
            traceback.print_exc()
            where = self._directory.root / "supervisor.txt"
            self._end(Status.FAILED, f"{type(exc).__name__}: {exc}; the trace is in {where}")
        finally:
            self._target.sweep(self._directory.root)

    def _attempts(self) -> None:
        record = self._record
        before = record.attempt
        last = before + self._request.max_attempts
        while True:
            self._begin()
            try:
                Attempt(self._directory, self._request, record, self._secrets, self.watch, self._target).run()
            except TrainingFailed as exc:
                if record.attempt >= last or not retry.curable(exc.failure, self._request):
                    raise
                self._wait(exc.failure, record.attempt - before, last)
            else:
                return

    def _begin(self) -> None:
        """Begin an attempt: nothing of the one before may still run, and what it saved is said."""
        record, directory = self._record, self._directory
        self._target.sweep(directory.root)
        record.attempt += 1
        record.supervisor = os.getpid()
        record.failure, record.stages, record.metrics, record.duration, record.resumed = None, [], {}, None, ""
        if record.attempt > 1:
            record.resumed = saved.sentence(directory.checkpoints, directory.tracking)
            directory.event("resumed", attempt=record.attempt, saved=record.resumed)

    def _wait(self, failure: Failure, tries: int, last: int) -> None:
        """Say why there is another attempt, and wait a little longer each time."""
        seconds = retry.backoff(self._request.backoff, tries)
        record = self._record
        record.failure = failure
        record.status = Status.PREPARING
        record.reason = f"attempt {record.attempt + 1} of {last} in {seconds:g} s: {failure.reason}"
        self._directory.write(record)
        self._directory.event("retry", attempt=record.attempt + 1, of=last, seconds=seconds, reason=failure.reason)
        self._target.sweep(self._directory.root)
        self.watch.pause(seconds)

    def _end(self, status: Status, reason: str) -> None:
        record = self._record
        record.status, record.reason = status, reason
        record.metrics = tracking.last(self._directory.tracking)
        record.supervisor = None
        kept: dict[str, Any] = {}
        if status is Status.COMPLETED:
            # Enough to write the record anew, should it be damaged.
            kept = {"duration": record.duration, "metrics": record.metrics, "outputs": record.outputs}
        self._directory.event("end", status=status.value, attempt=record.attempt, reason=reason, **kept)
        self._directory.write(record)


def main(path: str, attempts: int) -> None:
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
        if not mine or directory.read().attempt != attempts:
            return
        supervisor = Supervisor(directory, secrets)
        signal.signal(signal.SIGTERM, supervisor.watch.request_stop)
        signal.signal(signal.SIGINT, supervisor.watch.request_stop)
        supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
