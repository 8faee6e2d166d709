"""Find and remove what computes still have of runs without a supervisor, after collecting what those runs wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path

from trainstack.core.compute.compute import ComputeSpec, target_of
from trainstack.core.maintenance.gc import Garbage
from trainstack.core.runs import location
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrainstackError
from trainstack.storage.atomic import read_json
from trainstack.targets.base import Orphan, RunRef

Warn = Callable[[str], None]


def find(workspace: Workspace, warn: Warn = lambda _: None) -> list[Garbage]:
    """List what computes still have of runs that have ended or are gone.

    What an interrupted run has there is no garbage: its nodes may still work, and the next `up` takes them over.

    Args:
        workspace: The workspace of the runs.
        warn: Called for each compute that does not answer.
    """
    return [
        Garbage("orphan", Path(compute.target, orphan.kind, orphan.name), 0)
        for compute in computes_in_use(workspace)
        for orphan in _orphans(compute, workspace, warn)
        if _is_finished(RunDirectory(workspace.run(orphan.run)))
    ]


def collect(workspace: Workspace, warn: Warn = lambda _: None) -> list[Garbage]:
    """Remove what `find` lists, and return it."""
    orphans = find(workspace, warn)
    for compute in computes_in_use(workspace):
        _clear(workspace, compute, _is_finished, warn)
    return orphans


def remove_all(workspace: Workspace, compute: ComputeSpec, warn: Warn) -> None:
    """Remove all that a compute has of runs without a supervisor, interrupted ones too: their next attempt resumes.

    Args:
        workspace: The workspace of the runs.
        compute: The compute.
        warn: Called when it does not answer, or does not remove something.
    """
    _clear(workspace, compute, lambda run: not run.has_supervisor(), warn)


def _clear(workspace: Workspace, compute: ComputeSpec, which: Callable[[RunDirectory], bool], warn: Warn) -> None:
    target = target_of(compute)
    for name in sorted({orphan.run for orphan in _orphans(compute, workspace, warn)}):
        run, ref = RunDirectory(workspace.run(name)), RunRef(workspace.run(name), workspace.id)
        # Checked before it is locked: the holder of the lock counts as its supervisor.
        if not which(run):
            continue
        try:
            with _locked(run) as acquired:
                if acquired:
                    if run.root.is_dir():
                        target.collect_outputs(ref)
                    target.remove_all(ref)
        except TrainstackError as exc:
            warn(str(exc))


def _orphans(compute: ComputeSpec, workspace: Workspace, warn: Warn) -> list[Orphan]:
    try:
        return [*target_of(compute).orphans(workspace.id), *_unlisted(compute, workspace)]
    except TrainstackError as exc:
        warn(f"its orphans are not known: {exc}")
        return []


def _unlisted(compute: ComputeSpec, workspace: Workspace) -> Generator[Orphan]:
    """Yield what runs may have at a target that lists nothing of theirs any more."""
    target = target_of(compute)
    for path in sorted(workspace.runs.iterdir() if workspace.runs.is_dir() else ()):
        orphan = target.unlisted(RunRef(path, workspace.id))
        if not orphan:
            continue
        started_on = location.last_compute(RunDirectory(path))
        if started_on and location.same_place(started_on, compute):
            yield orphan


def computes_in_use(workspace: Workspace) -> list[ComputeSpec]:
    """Return each distinct compute that a workspace or one of its runs uses."""
    computes: list[ComputeSpec] = []
    for path in sorted([*workspace.root.glob("computes/*/compute.json"), *workspace.runs.glob("*/placement.json")]):
        with contextlib.suppress(OSError, ValueError, TrainstackError):
            compute = ComputeSpec.model_validate(read_json(path))
            if not any(location.same_place(compute, other) for other in computes):
                computes.append(compute)
    return computes


def _is_finished(run: RunDirectory) -> bool:
    """Return whether no later attempt needs what a run has on its compute."""
    try:
        record = run.read()
    except NotFoundError:
        return not run.has_supervisor()
    except TrainstackError:
        return False
    return record.status.ended and record.status is not Status.INTERRUPTED and not run.has_supervisor()


@contextlib.contextmanager
def _locked(run: RunDirectory) -> Generator[bool]:
    """Lock a run so that no supervisor starts meanwhile; a run that is gone needs no lock."""
    if not run.root.is_dir():
        yield True
        return
    with run.lock() as acquired:
        yield acquired
