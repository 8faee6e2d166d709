"""How long a run would take and what it would cost, from the last one that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from trainstack.errors import TrainstackError
from trainstack.lifecycle.changes.document import UNKNOWN
from trainstack.lifecycle.prices import Prices
from trainstack.lifecycle.runs import declared, plan
from trainstack.lifecycle.runs.fingerprint import ID_LENGTH
from trainstack.lifecycle.runs.record import Status
from trainstack.lifecycle.runs.run import RunDirectory, history
from trainstack.lifecycle.workspace import Workspace


@dataclass(frozen=True)
class Estimate:
    """What training a run takes.

    Attributes:
        nodes: Nodes that it holds.
        size: What they are: a size, or the target where no size is given.
        low: Whether they may be taken away.
        seconds: How long the last run of its name took; none where none was measured.
        cost: Seconds times nodes times price; none where one of them is not known.
    """

    nodes: int
    size: str
    low: bool
    seconds: float | None
    cost: float | None


def estimate(run: Mapping[str, Any], seconds: float | None, prices: Prices) -> Estimate:
    """Estimate a run from its inputs.

    Args:
        run: A training run's inputs.
        seconds: What the last measured one took.
        prices: What nodes cost.
    """
    compute = _mapping(run.get("compute"))
    nodes = _whole(_mapping(run.get("distribution")).get("node_count"), 1)
    hourly = prices.hourly(compute)
    cost = None if seconds is None or hourly is None else seconds / 3600 * nodes * hourly
    size = str(compute.get("vm_size") or compute.get("target") or "local")
    return Estimate(nodes, size, compute.get("priority") == "low", seconds, cost)


def finished(run: Mapping[str, Any], root: Path) -> str | None:
    """The id of the finished run that these inputs mean: `pulumi up` adopts it, and nothing trains.

    Args:
        run: A training run's completed inputs.
        root: What the workspace's path is relative to.
    """
    workspace = _workspace(run, root)
    named = run_id(run)
    if workspace is None or named is None:
        return None
    try:
        record = RunDirectory(workspace.run(named)).read()
    except TrainstackError:
        return None
    return named if record.status is Status.COMPLETED else None


def fingerprint(run: Mapping[str, Any]) -> str | None:
    """The fingerprint that inputs mean; none while a part of them is not known."""
    if UNKNOWN in repr({name: run.get(name) for name in plan.PARTS if name != "secret_variables"}):
        return None
    try:
        return declared.spec_of(run).fingerprint
    except (KeyError, TypeError, ValidationError):
        return None


def run_id(run: Mapping[str, Any]) -> str | None:
    """The id of the run that inputs mean; none while a part of them is not known."""
    found = fingerprint(run)
    return None if found is None else found[:ID_LENGTH]


def last_measured(run: Mapping[str, Any], root: Path) -> float | None:
    """Seconds that the newest completed run of the same name took; none where the workspace has none.

    Args:
        run: A training run's inputs.
        root: What the workspace's path is relative to.
    """
    workspace = _workspace(run, root)
    if workspace is None:
        return None
    durations = [
        record.duration
        for record in history(workspace)
        if record.name == run.get("name") and record.status is Status.COMPLETED and record.duration is not None
    ]
    return durations[0] if durations else None


def _workspace(run: Mapping[str, Any], root: Path) -> Workspace | None:
    path = run.get("workspace")
    if not isinstance(path, str) or path == UNKNOWN:
        return None
    try:
        return Workspace.open(root / Path(path).expanduser())
    except (TrainstackError, OSError):
        return None


def _mapping(value: object) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def _whole(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) else otherwise
