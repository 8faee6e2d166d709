"""How long a run would take and what it would cost, from the last one that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from trainstack.core.compute import node_sizes
from trainstack.core.compute.prices import Prices
from trainstack.core.preview.document import UNKNOWN
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.fields import COUNTED, ID_LENGTH, RunSpec
from trainstack.core.runs.index import newest
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.sweeps.record import Search, SweepDirectory, finished_search, sweep_id
from trainstack.core.workspace.store_cache import local_path
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.targets import registry


@dataclass(frozen=True)
class Estimate:
    """What training a run takes.

    Attributes:
        nodes: Nodes that it holds.
        size: What they are: a size, or the target where no size is given.
        low: Whether they may be taken away.
        last: How long the last run of its name was running, in seconds; none where none was measured.
        trials: How many such runs there are to be: more than one for a sweep.
        seconds: How long all of it takes; none where nothing was measured.
        node_hours: Hours that nodes are held, added up over the nodes.
        cost: Node hours times price; none where one of them is not known.
        last_cost: What the last run of its name came to, `0.90 USD`; empty where that is not known.
    """

    nodes: int
    size: str
    low: bool
    last: float | None
    trials: int
    seconds: float | None
    node_hours: float | None
    cost: float | None
    last_cost: str = ""


def estimate(
    run: Mapping[str, Any], last: float | None, prices: Prices, trials: int = 1, *, last_cost: str = ""
) -> Estimate:
    """Estimate a run, or the trials of a sweep, from the inputs.

    Args:
        run: A training run's or a sweep's inputs.
        last: Seconds that the last measured one took.
        prices: What nodes cost.
        trials: How many are to run.
        last_cost: What the last one came to, in words.
    """
    compute = _mapping(run.get("compute"))
    nodes = _whole(_mapping(run.get("distribution")).get("node_count"), 1)
    hourly = prices.hourly(compute)
    room = max(1, _whole(compute.get("max_nodes"), 1) // max(nodes, 1))
    at_once = max(1, min(trials, room, _whole(run.get("max_concurrent"), trials)))
    seconds = None if last is None else last * trials / at_once
    longest = run.get("max_duration")
    if trials > 1 and isinstance(longest, int | float):
        # A sweep ends when its time is over, whatever is left to try.
        seconds = float(longest) if seconds is None else min(seconds, longest)
    node_hours = None if seconds is None else seconds * at_once / 3600 * nodes
    cost = None if node_hours is None or hourly is None else node_hours * hourly
    size = str(compute.get("vm_size") or node_sizes.of_compute(compute) or compute.get("target") or registry.DEFAULT)
    return Estimate(nodes, size, compute.get("priority") == "low", last, trials, seconds, node_hours, cost, last_cost)


def trials_left(sweep: Mapping[str, Any], root: Path) -> int:
    """How many trials an update would still run: none where the workspace holds the finished search.

    Args:
        sweep: A sweep's completed inputs.
        root: What the workspace's path is relative to.
    """
    most = _whole(sweep.get("max_trials"), 20)
    workspace = _workspace(sweep, root)
    if workspace is None or UNKNOWN in repr(sweep):
        return most
    try:
        spec, name = RunSpec.from_inputs(sweep), str(sweep["name"])
        settings = {field: sweep[field] for field in Search.model_fields if sweep.get(field) is not None}
        search = Search.model_validate({**settings, "space": {"parameters": sweep["space"]}})
        most = search.total
        if finished_search(workspace, spec, name, search):
            return 0
        record = SweepDirectory(workspace.sweep(sweep_id(spec, name, search.metric, search.goal))).read()
    except (TrainstackError, OSError, KeyError, TypeError, ValidationError):
        return most
    return max(0, most - record.ended)


def finished(run: Mapping[str, Any], root: Path) -> str | None:
    """The id of the finished run that these inputs mean: `pulumi up` adopts it, and nothing trains.

    Args:
        run: A training run's completed inputs.
        root: What the workspace's path is relative to.
    """
    workspace = _workspace(run, root)
    identifier = run_id(run)
    if workspace is None or identifier is None:
        return None
    try:
        record = RunDirectory(workspace.run(identifier)).read()
    except TrainstackError:
        return None
    return identifier if record.status is Status.COMPLETED else None


def fingerprint(run: Mapping[str, Any]) -> str | None:
    """The fingerprint that inputs mean; none while a part of them is not known."""
    if UNKNOWN in repr({name: run.get(name) for name in COUNTED if name != "secret_variables"}):
        return None
    try:
        return RunSpec.from_inputs(run).fingerprint
    except (KeyError, TypeError, ValidationError):
        return None


def run_id(run: Mapping[str, Any]) -> str | None:
    """The id of the run that inputs mean; none while a part of them is not known."""
    digest = fingerprint(run)
    return None if digest is None else digest[:ID_LENGTH]


def last_measured(run: Mapping[str, Any], root: Path) -> float | None:
    """Seconds that the newest completed run of the same name was running; none where the workspace has none.

    Args:
        run: A training run's inputs.
        root: What the workspace's path is relative to.
    """
    record = last_run(run, root)
    return None if record is None else record.duration


def last_run(run: Mapping[str, Any], root: Path) -> RunRecord | None:
    """The newest completed run of the same name that was measured; arguments as for `last_measured`."""
    workspace = _workspace(run, root)
    if workspace is None:
        return None
    records = newest(workspace, [Status.COMPLETED.value], run.get("name"))
    return next((record for record in records if record.duration is not None), None)


def _workspace(run: Mapping[str, Any], root: Path) -> Workspace | None:
    path = run.get("workspace")
    if not isinstance(path, str) or path == UNKNOWN:
        return None
    try:
        return Workspace.open(local_path(path, root))
    except (TrainstackError, OSError):
        return None


def _mapping(value: object) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def _whole(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) else otherwise
