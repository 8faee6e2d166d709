"""The process that drives one attempt of a run, and outlives the `pulumi up` that started it.

Started by `submission` as `python -m trainstack.lifecycle.supervisor RUN_DIRECTORY`, secrets on its standard input. It
holds the run's lock, is the only writer of `run.json`, takes the run through its four stages, and ends every process
that it started, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType

from trainstack.errors import TrainstackError
from trainstack.lifecycle import compute, distribution, preparation
from trainstack.lifecycle.run import RunDirectory, RunRecord, RunRequest, Stage, Status
from trainstack.lifecycle.training import Training, TrainingFailed
from trainstack.lifecycle.workspace import Workspace
from trainstack.store.digest import of_file
from trainstack.targets import Target
from trainstack.targets.local import LocalTarget
from trainstack.tracking import files as tracking

HEARTBEAT = 1.0


class Stopped(Exception):
    """Somebody asked for the end of the run."""


class Supervisor:
    """One attempt, from preparing to its end."""

    def __init__(self, directory: RunDirectory, secrets: dict[str, str]) -> None:
        self._directory = directory
        self._secrets = secrets
        self._workspace = Workspace.open(directory.root.parent.parent)
        self._request: RunRequest = directory.request()
        self._record: RunRecord = directory.read()
        self._target: Target = LocalTarget()
        self._stop_reason = ""
        self._beat = 0.0

    def run(self) -> None:
        """Drive the attempt to an end and write which one it was."""
        record = self._record
        record.attempt += 1
        record.supervisor = os.getpid()
        record.failure, record.stages, record.metrics, record.duration = None, [], {}, None
        self._target.sweep(self._directory.root)
        started = time.time()
        try:
            with self._stage(Status.PREPARING, f"environment {self._request.environment['spec']['name']}"):
                python = preparation.prepare(self._workspace, self._directory, self._request, self._because)
            with contextlib.ExitStack() as held:
                with self._stage(Status.SCALING, f"compute {self._request.compute['name']}"):
                    self._scale(held)
                with self._stage(Status.RUNNING, f"attempt {record.attempt}" if record.attempt > 1 else ""):
                    self._train(python)
            with self._stage(Status.FINALIZING, "keeping outputs"):
                self._finalize()
            record.duration = time.time() - started
            self._end(Status.COMPLETED, "")
        except Stopped as stop:
            self._end(Status.CANCELED, str(stop))
        except TrainingFailed as exc:
            record.failure = exc.failure
            self._end(Status.FAILED, str(exc))
        except TrainstackError as exc:
            self._end(Status.FAILED, str(exc))
        except Exception as exc:  # noqa: BLE001 (the record must not stay "running", and the trace is kept in our log)
            import traceback

            traceback.print_exc()
            where = self._directory.root / "supervisor.txt"
            self._end(Status.FAILED, f"{type(exc).__name__}: {exc}; the trace is in {where}")
        finally:
            self._target.sweep(self._directory.root)

    @property
    def _stop_file(self) -> Path:
        return self._directory.root / "stop"

    def request_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler: end the run, with a checkpoint where the script makes one."""
        self._stop_reason = self._stop_reason or "stopped by a signal"

    def _stopped(self) -> bool:
        self._heartbeat()
        if not self._stop_reason and self._stop_file.exists():
            self._stop_reason = self._stop_file.read_text(encoding="utf-8").strip() or "stopped"
        return bool(self._stop_reason)

    def _check_stop(self) -> None:
        if self._stopped():
            raise Stopped(self._stop_reason)

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._beat >= HEARTBEAT:
            self._beat = now
            (self._directory.root / "heartbeat").touch()

    @contextlib.contextmanager
    def _stage(self, name: Status, reason: str) -> Generator[None]:
        self._check_stop()
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
        self._check_stop()
        self._record.stages[-1].reason = reason
        self._record.reason = reason
        self._directory.write(self._record)

    def _end(self, status: Status, reason: str) -> None:
        self._record.status, self._record.reason = status, reason
        self._record.metrics = tracking.last(self._directory.tracking)
        self._record.supervisor = None
        self._directory.write(self._record)
        self._directory.event("end", status=status.value, attempt=self._record.attempt, reason=reason)

    def _scale(self, held: contextlib.ExitStack) -> None:
        spec = compute.ComputeSpec.model_validate(self._request.compute)
        _, count = distribution.parse(self._request.spec.distribution)
        nodes = held.enter_context(compute.slots(self._workspace, spec, count, self._because, self._stopped))
        self._check_stop()
        self._because(f"{len(nodes)} of {spec.max_nodes} nodes of {spec.name}")

    def _train(self, python: Path) -> None:
        training = Training(self._directory, self._request, self._target)
        training.start(python, self._secrets)
        try:
            training.wait(self._check_stop)
        finally:
            training.end(self._heartbeat)

    def _finalize(self) -> None:
        """Digest the outputs, so that drift can be told, and drop what only an unfinished run needs."""
        outputs = self._directory.outputs
        self._record.outputs = {
            path.relative_to(outputs).as_posix(): of_file(path) for path in sorted(outputs.rglob("*")) if path.is_file()
        }
        shutil.rmtree(self._directory.checkpoints, ignore_errors=True)


def main(path: str) -> None:
    """Drive the run in `path`, unless somebody does already."""
    directory = RunDirectory(Path(path))
    secrets: dict[str, str] = json.loads(sys.stdin.read() or "{}")
    with directory.lock() as mine:
        if not mine:
            return
        supervisor = Supervisor(directory, secrets)
        signal.signal(signal.SIGTERM, supervisor.request_stop)
        signal.signal(signal.SIGINT, supervisor.request_stop)
        supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1])
