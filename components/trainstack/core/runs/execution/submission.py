"""Submit a run: adopt it when it is done, attach to it when it is under way, else start an attempt; and follow it.

Because a run is named by what it is, asking for it again is always safe: nothing that is done is done twice.
"""

from __future__ import annotations

import contextlib
import enum
import json
import time
from dataclasses import dataclass
from pathlib import Path

from trainstack import process_environment
from trainstack.agent.reporting.report import last_lines
from trainstack.core.daemons import daemonize
from trainstack.core.datasets import dataset_record
from trainstack.core.runs import artifacts, heartbeat, index, location, recovery, reserve, snapshot
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.execution.following import follow
from trainstack.core.runs.request import RunRequest
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.queue import enqueue
from trainstack.core.workspace.origin import origin_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors, write_json

__all__ = ["Outcome", "Submitted", "follow", "stop", "submit"]

TICK = 0.1
SUPERVISOR = "trainstack.core.runs.execution.supervisor"
CLEAN_UP_SECONDS = 30.0


class Outcome(enum.StrEnum):
    """What submitting came to."""

    ADOPTED = "adopted"
    ATTACHED = "attached"
    STARTED = "started"
    RESUMED = "resumed"


@dataclass(frozen=True)
class Submitted:
    """A submitted run and what submitting it came to; `note` says what had to be mended."""

    directory: RunDirectory
    outcome: Outcome
    note: str = ""


def submit(
    workspace: Workspace, request: RunRequest, source: Path, secrets: dict[str, str], *, supervise: bool = True
) -> Submitted:
    """Make sure that the run is done or under way.

    Args:
        workspace: Where the run is kept.
        request: What to run and how.
        source: The folder that the snapshot in `request` was taken of.
        secrets: Values of the secret variables; handed to the supervisor through a pipe, never written.
        supervise: Whether a supervisor is started on this machine; otherwise the run is only made ready for one.

    Returns:
        The run and whether it was adopted, attached to, started or resumed.

    Raises:
        TrainstackError: The code changed meanwhile, or the disk is full.
    """
    with locks.shared(workspace.records_lock):
        return _submit(workspace, request, source, secrets, supervise=supervise)


def _submit(
    workspace: Workspace, request: RunRequest, source: Path, secrets: dict[str, str], *, supervise: bool
) -> Submitted:
    directory = RunDirectory(workspace.run(request.spec.run_id))
    with disk_errors(directory.root):
        directory.root.mkdir(parents=True, exist_ok=True)
    # Two submissions of one run take turns, so that one starts it and the other attaches.
    with locks.exclusive(directory.root / "submit.lock"):
        if _under_way(directory):
            return Submitted(directory, Outcome.ATTACHED)
        index.forget(workspace, directory.id)
        note = ""
        if recovery.is_damaged(directory):
            record = recovery.record_of(directory, request)
            note = recovery.recovered(directory, record)
        else:
            record = directory.read() if directory.exists() else None
        if record is not None and record.status is Status.COMPLETED and artifacts.are_kept(directory):
            _keep_readable(directory, request)
            return Submitted(directory, Outcome.ADOPTED, note)
        if record is None:
            # What was begun may go on; only something new has to wait for room.
            workspace.blobs.require(0, f"run {request.name}")
        elif supervise:
            directory.fetch()
        snapshot.store(source, request.spec.files, workspace.blobs)
        if supervise:
            _fetch_data(workspace, request)
        write_json(directory.root / "spec.json", request.model_dump(mode="json"))
        if record is None:
            record = RunRecord.submitted(directory.id, request.name, request.tags)
            directory.event("submitted", name=request.name, fingerprint=request.spec.fingerprint, tags=request.tags)
        # A stop that was asked of an earlier attempt is over; one that comes from now on is for this.
        (directory.root / reserve.STOP).unlink(missing_ok=True)
        attempts = record.attempt
        record.status, record.reason = Status.PREPARING, "starting"
        directory.write(record)
        # Again: whoever listed runs between the two has put the end before this attempt back in.
        index.forget(workspace, directory.id)
        enqueue(workspace, directory.id)
        if supervise:
            _start_supervisor(directory, secrets, attempts)
        tracking_server.start_in_background(workspace)
        return Submitted(directory, Outcome.RESUMED if attempts else Outcome.STARTED, note)


def stop(directory: RunDirectory, reason: str, *, wait: float | None = None) -> RunRecord:
    """Ask a run's supervisor to end it: SIGTERM, the grace period for a checkpoint, then SIGKILL.

    Args:
        directory: The run.
        reason: Kept as the run's reason.
        wait: Seconds to wait for the end; by default the grace period and ten more.

    Raises:
        TrainstackError: Nothing of the run is under way, or it did not end in time.
    """
    if not directory.has_supervisor() and not location.goes_on(directory):
        raise TrainstackError(f"run {directory.id} is {directory.read().status.value}: there is nothing to stop")
    ask_to_stop(directory, reason)
    if not directory.has_supervisor():
        # Nodes that outlived their supervisor get another, which ends them as any would.
        index.forget(Workspace.open(directory.root.parents[1]), directory.id)
        _start_supervisor(directory, {}, directory.read().attempt)
    patience = directory.request().grace + 10 if wait is None else wait
    deadline = time.monotonic() + patience
    while directory.has_supervisor():
        if heartbeat.hangs(directory.root):
            _replace_hung_supervisor(directory)
            continue
        if time.monotonic() > deadline:
            raise TrainstackError(
                f"run {directory.id} did not end within {patience:g} s; see {directory.root / 'supervisor.txt'}"
            )
        time.sleep(TICK)
    return directory.read()


def _replace_hung_supervisor(directory: RunDirectory) -> None:
    """Kill a supervisor that hangs; another one ends what it leaves."""
    record = directory.read()
    heartbeat.kill(directory.root, record.supervisor)
    # On a full disk the history lacks this line.
    with contextlib.suppress(TrainstackError):
        directory.event("hung supervisor killed", attempt=record.attempt)
    with locks.exclusive(directory.root / "lock"):
        # The kernel lets go of its lock when it is gone.
        (directory.root / "heartbeat").unlink(missing_ok=True)
    index.forget(Workspace.open(directory.root.parents[1]), directory.id)
    _start_supervisor(directory, {}, record.attempt)


def _fetch_data(workspace: Workspace, request: RunRequest) -> None:
    """Fetch what the run reads, where a machine's copy lacks it: its supervisor has no credentials for the store."""
    if origin_of(workspace.root) is not None:
        for reference in request.datasets.values():
            record = dataset_record.find(workspace, reference.name, reference.version)
            workspace.blobs.obtain(record.blobs)


def supervisor_variables(request: RunRequest, directory: RunDirectory | None = None) -> dict[str, str]:
    """Return what the supervisor of a run needs of this process's environment to build its environment and reach nodes.

    Args:
        request: What is submitted.
        directory: The run, whose last attempt may have left nodes elsewhere.
    """
    patterns = [*process_environment.PACKAGES, *request.compute.plugin.variables]
    if request.compute.object_store or (directory is not None and _reads_in_place(directory, request)):
        patterns += process_environment.CLOUD
    if directory is not None and (earlier := location.last_compute(directory)) is not None:
        patterns += earlier.plugin.variables
    return process_environment.selected(patterns)


def _reads_in_place(directory: RunDirectory, request: RunRequest) -> bool:
    """Whether the run's supervisor fetches data from object stores."""
    with contextlib.suppress(TrainstackError):
        workspace = Workspace.open(directory.root.parents[1])
        return any(
            dataset_record.find(workspace, reference.name, reference.version).objects
            for reference in request.datasets.values()
        )
    return False


def ask_to_stop(directory: RunDirectory, reason: str) -> None:
    """Ask a run's supervisor to end it, without waiting for that."""
    reserve.ask_to_stop(directory.root, reason)


def _under_way(directory: RunDirectory) -> bool:
    """Whether a supervisor takes the run somewhere; one that has ended it is waited for while it cleans up."""
    deadline = time.monotonic() + CLEAN_UP_SECONDS
    while directory.has_supervisor():
        # A damaged record is written anew by the supervisor that lives.
        with contextlib.suppress(TrainstackError):
            if (record := directory.read()).status is Status.COMPLETED:
                return False
            if record.status.ended and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
        return True
    return False


def _keep_readable(directory: RunDirectory, request: RunRequest) -> None:
    """Write down anew what was submitted, where that is damaged; the fingerprint says that it is the same."""
    try:
        directory.request()
    except (OSError, ValueError, TrainstackError):
        write_json(directory.root / "spec.json", request.model_dump(mode="json"))


def _start_supervisor(directory: RunDirectory, secrets: dict[str, str], attempts: int) -> None:
    """Start the supervisor as nobody's child, and wait until it holds the run."""
    log = directory.root / "supervisor.txt"
    submitted = directory.read().updated
    daemonize.start(
        SUPERVISOR,
        str(directory.root),
        str(attempts),
        folder=directory.root,
        log=log,
        stdin=json.dumps(secrets).encode(),
        variables=supervisor_variables(directory.request(), directory),
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        record = directory.read()
        if directory.has_supervisor() or record.attempt > attempts or record.updated != submitted:
            return
        time.sleep(0.01)
    raise TrainstackError(f"the supervisor of run {directory.id} did not start: {_last(log)}; see {log}")


def _last(log: Path) -> str:
    lines = last_lines(log, 1)
    return lines[0] if lines else "it wrote nothing"
