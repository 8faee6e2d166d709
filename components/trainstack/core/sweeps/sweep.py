"""Submit a sweep: start a driver unless one is there, and follow it to its end, in one line at a time."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from trainstack import process_environment
from trainstack.agent.reporting.report import last_lines
from trainstack.core.daemons import daemonize
from trainstack.core.runs import snapshot
from trainstack.core.runs.execution import submission
from trainstack.core.sweeps.record import SweepDirectory, SweepRecord, SweepRequest
from trainstack.core.tracking.queue import SWEEP_PREFIX, enqueue
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import RunFailedError, TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import write_json

TICK = 0.1
_START_SECONDS = 60.0
_END_SECONDS = 60.0


def submit(workspace: Workspace, request: SweepRequest, secrets: Mapping[str, str]) -> SweepDirectory:
    """Make sure that a sweep is under way as it is asked for; what was found out earlier stays.

    A driver that goes about it otherwise hands its trials over to a new one. No trial is stopped for that.

    Args:
        workspace: Where it is kept.
        request: What to try.
        secrets: Values of the secret variables; handed on through a pipe, never written.

    Raises:
        TrainstackError: The code changed meanwhile, the disk is full, or the driver did not start.
    """
    directory = SweepDirectory(workspace.sweep(request.sweep_id))
    with locks.shared(workspace.records_lock), locks.exclusive(directory.root / "submit.lock"):
        if locks.is_locked(directory.lock):
            if directory.request() == request and not (directory.root / "stop").exists():
                return directory
            (directory.root / "handover").touch()
            _end(directory, "another search was asked for")
        # What an earlier one was told must not end this one.
        for name in ("stop", "handover"):
            (directory.root / name).unlink(missing_ok=True)
        # The trials find the code here, whatever becomes of the folder.
        snapshot.store(Path(request.source), request.run.spec.files, workspace.blobs)
        write_json(directory.root / "spec.json", request.model_dump(mode="json"))
        before = _updated(directory)
        daemonize.start(
            "trainstack.core.sweeps.driver",
            str(directory.root),
            folder=directory.root,
            log=directory.log,
            stdin=json.dumps(dict(secrets)).encode(),
            # It starts the supervisors of its trials and, where none runs, the tracking daemon.
            variables=submission.supervisor_variables(request.run)
            | process_environment.selected(process_environment.TRACKING),
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if _updated(directory) != before:
                enqueue(workspace, f"{SWEEP_PREFIX}{directory.id}")
                return directory
            time.sleep(TICK)
    last_line = (last_lines(directory.log, 1) or ["it wrote nothing"])[0]
    raise TrainstackError(f"the driver of sweep {request.name} did not start: {last_line}; see {directory.log}")


def follow(directory: SweepDirectory, progress: Callable[[str], None] = lambda _: None) -> SweepRecord:
    """Wait for a sweep to end, telling its progress in one line at a time.

    Returns:
        The record of the completed sweep.

    Raises:
        RunFailedError: It failed, was stopped, or its driver was killed; says how to go on.
    """
    last_line = ""
    while True:
        driven = locks.is_locked(directory.lock)
        record = directory.read()
        if record.status == "completed":
            return record
        if record.status != "running":
            raise RunFailedError(f"sweep {record.name} ({record.id}) {record.status}: {record.reason}")
        if not driven and directory.read().status == "running":
            raise RunFailedError(
                f"sweep {record.name} ({record.id}): its driver was killed; run `pulumi up` again, and it goes on "
                f"(its log is {directory.log})"
            )
        if (line := progress_line(record)) != last_line:
            progress(last_line := line)
        time.sleep(TICK)


def stop(directory: SweepDirectory, reason: str) -> SweepRecord:
    """End a sweep and the runs of its trials; `up` goes on with them.

    Raises:
        TrainstackError: It is not under way, or does not end.
    """
    if not locks.is_locked(directory.lock):
        raise TrainstackError(f"sweep {directory.id} is {directory.read().status}: there is nothing to stop")
    _end(directory, reason)
    return directory.read()


def progress_line(record: SweepRecord) -> str:
    """Where it is, in one line: `12/40 best 0.981 (lr 0.003)`."""
    line = f"{record.ended}/{record.total}"
    best = record.best_trial
    if best is not None and best.value is not None:
        line += f" best {best.value:.4g} ({', '.join(parameter_texts(best.parameters))})"
    pruned = sum(trial.state == "pruned" for trial in record.trials)
    failed = sum(trial.state == "failed" for trial in record.trials)
    more = [f"{count} {noun}" for count, noun in ((pruned, "pruned"), (failed, "failed")) if count]
    return " · ".join([line, *more])


def parameter_texts(parameters: Mapping[str, object]) -> list[str]:
    """Parameters for people: without dashes, numbers short."""
    return [
        f"{name.lstrip('-')} {f'{value:.4g}' if isinstance(value, float) else value}"
        for name, value in parameters.items()
    ]


def _end(directory: SweepDirectory, reason: str) -> None:
    (directory.root / "stop").write_text(reason, encoding="utf-8")
    deadline = time.monotonic() + _END_SECONDS
    while locks.is_locked(directory.lock):
        if time.monotonic() > deadline:
            raise TrainstackError(f"sweep {directory.id} did not end within {_END_SECONDS:g} s; see {directory.log}")
        time.sleep(TICK)


def _updated(directory: SweepDirectory) -> float:
    with contextlib.suppress(TrainstackError):
        return directory.read().updated
    return 0.0
