"""What a run's things are called on an engine, and the labels that say whose they are."""

from __future__ import annotations

from typing import Any

from trainstack.targets.base import RunRef

WORKSPACE, RUN, ATTEMPT, NODE = "trainstack.workspace", "trainstack.run", "trainstack.attempt", "trainstack.node"
NAME, STACK = "trainstack.name", "trainstack.stack"
SIDECAR = "sidecar"
"""Value of the label NODE on the container that is no node but transfers files."""
STARTING, WORKING, SETTLED = "sidecar-new", "sidecar", "sidecar-done"
"""Ends of the sidecar's name: until every node has its variables, while they work, once all outputs are received."""


def prefix(ref: RunRef) -> str:
    """The start of the names of all that a run has on an engine."""
    return f"trainstack-{ref.workspace}-{ref.id}"


def host_name(index: int) -> str:
    """What the nodes of a run call node number `index`."""
    return f"node-{index}"


def of_run(ref: RunRef) -> dict[str, Any]:
    """The filter for everything of a run."""
    return {"label": [f"{WORKSPACE}={ref.workspace}", f"{RUN}={ref.id}"]}
