"""Where the nodes of a run are: which target its last attempt was started on, what it still has there."""

from __future__ import annotations

from trainstack.core.compute.compute import ComputeSpec, location_key, target_of
from trainstack.core.runs import distribution
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.atomic import read_json, write_json
from trainstack.targets.base import RunRef, Target

_FILE = "placement.json"


def ref_of(directory: RunDirectory) -> RunRef:
    """The run's directory, as targets know it."""
    return RunRef(directory.root, Workspace.open(directory.root.parent.parent).id)


def note(directory: RunDirectory, compute: ComputeSpec) -> None:
    """Write down, before anything is started there, where an attempt's nodes are going to be."""
    write_json(directory.root / _FILE, compute.model_dump(mode="json"))


def last_compute(directory: RunDirectory) -> ComputeSpec | None:
    """Where the last attempt's nodes were started; none when there was no attempt."""
    try:
        return ComputeSpec.model_validate(read_json(directory.root / _FILE))
    except FileNotFoundError:
        return None


def same_place(first: ComputeSpec, second: ComputeSpec) -> bool:
    """Whether two computes mean the same place, whatever their sizes."""
    return location_key(first) == location_key(second)


def goes_on(directory: RunDirectory) -> bool:
    """Whether nodes of the run work although nobody may drive it.

    Raises:
        TrainstackError: The place does not answer.
    """
    if (compute := last_compute(directory)) is None:
        return False
    _, count = distribution.parse(directory.request().spec.distribution)
    target, ref = target_of(compute), ref_of(directory)
    return any(target.node(ref, index) is not None for index in range(count))


def clear(target: Target, ref: RunRef) -> None:
    """Leave nothing of a run at a place: what its nodes wrote is fetched first, then all of it goes.

    Raises:
        TrainstackError: The place does not answer, or some outputs cannot be fetched: then they stay there.
    """
    target.collect_outputs(ref)
    target.remove_all(ref)
