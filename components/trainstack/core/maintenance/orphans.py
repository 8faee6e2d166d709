"""Find and end what engines still have of runs that nobody drives. What such a run wrote comes home first."""

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

Said = Callable[[str], None]


def find(workspace: Workspace, said: Said = lambda _: None) -> list[Garbage]:
    """List what places still have of runs that have ended or are gone.

    What an interrupted run has there is no garbage: its nodes may still work, and the next `up` takes them over.

    Args:
        workspace: Whose runs.
        said: Told of each place that does not answer.
    """
    return [
        Garbage("orphan", Path(place.target, orphan.kind, orphan.name), 0)
        for place in places(workspace)
        for orphan in _orphans(place, workspace, said)
        if _over(RunDirectory(workspace.run(orphan.run)))
    ]


def collect(workspace: Workspace, said: Said = lambda _: None) -> list[Garbage]:
    """Remove what `find` lists; gives it."""
    found = find(workspace, said)
    for place in places(workspace):
        _clear(workspace, place, _over, said)
    return found


def leave(workspace: Workspace, place: ComputeSpec, said: Said) -> None:
    """Remove all that a place has of runs that nobody drives, interrupted ones too: their next attempt resumes.

    Args:
        workspace: Whose runs.
        place: Where.
        said: Told when it does not answer, or does not let go of something.
    """
    _clear(workspace, place, lambda run: not run.has_supervisor(), said)


def _clear(workspace: Workspace, place: ComputeSpec, which: Callable[[RunDirectory], bool], said: Said) -> None:
    target = target_of(place)
    for name in sorted({orphan.run for orphan in _orphans(place, workspace, said)}):
        run, ref = RunDirectory(workspace.run(name)), RunRef(workspace.run(name), workspace.id)
        # Asked before it is held: whoever holds a run drives it.
        if not which(run):
            continue
        try:
            with _held(run) as mine:
                if mine:
                    if run.root.is_dir():
                        target.collect_outputs(ref)
                    target.remove_all(ref)
        except TrainstackError as exc:
            said(str(exc))


def _orphans(place: ComputeSpec, workspace: Workspace, said: Said) -> list[Orphan]:
    try:
        return [*target_of(place).orphans(workspace.id), *_unlisted(place, workspace)]
    except TrainstackError as exc:
        said(f"what runs have left there is not known: {exc}")
        return []


def _unlisted(place: ComputeSpec, workspace: Workspace) -> Generator[Orphan]:
    """What runs may have at a target although it lists nothing of theirs any more."""
    target = target_of(place)
    for path in sorted(workspace.runs.iterdir() if workspace.runs.is_dir() else ()):
        orphan = target.unlisted(RunRef(path, workspace.id))
        if (
            orphan
            and (started_on := location.last_compute(RunDirectory(path)))
            and location.same_place(started_on, place)
        ):
            yield orphan


def places(workspace: Workspace) -> list[ComputeSpec]:
    """Every place that a compute or a run of a workspace names, once."""
    found: list[ComputeSpec] = []
    for path in sorted([*workspace.root.glob("computes/*/compute.json"), *workspace.runs.glob("*/placement.json")]):
        with contextlib.suppress(OSError, ValueError, TrainstackError):
            named = ComputeSpec.model_validate(read_json(path))
            if not any(location.same_place(named, other) for other in found):
                found.append(named)
    return found


def _over(run: RunDirectory) -> bool:
    """Whether nobody will come back to what a run has elsewhere."""
    try:
        record = run.read()
    except NotFoundError:
        return not run.has_supervisor()
    except TrainstackError:
        return False
    return record.status.ended and record.status is not Status.INTERRUPTED and not run.has_supervisor()


@contextlib.contextmanager
def _held(run: RunDirectory) -> Generator[bool]:
    """Hold a run so that no supervisor starts meanwhile; one that is gone needs no holding."""
    if not run.root.is_dir():
        yield True
        return
    with run.lock() as mine:
        yield mine
