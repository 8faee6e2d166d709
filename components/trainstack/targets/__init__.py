"""Where nodes run, behind one interface: `start` a node, look at it, end it. Knows processes, not what they compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class NodeSpec:
    """What a target needs to know to start one node's agent.

    Attributes:
        index: The node's number, from 0.
        python: Interpreter of the training environment.
        agent: Folder with the launch agent, the only thing of ours that the node imports.
        plan: The launch plan, a JSON file.
        log: File that the agent's output is appended to.
        marker: Path of the run directory; every process of the node carries it in its environment.
        environment: Variables for the node, secrets among them.
    """

    index: int
    python: Path
    agent: Path
    plan: Path
    log: Path
    marker: Path
    environment: dict[str, str] = field(default_factory=dict[str, str], repr=False)


class Node(Protocol):
    """A started node."""

    def poll(self) -> int | None:
        """Its agent's exit code, negative for a signal; none while it runs."""
        ...

    def terminate(self) -> None:
        """Ask it to end; the agent gives its ranks time for a checkpoint."""
        ...

    def kill(self) -> None:
        """End it now, with everything that it started."""
        ...


class Target(Protocol):
    """A place for nodes."""

    def start(self, node: NodeSpec) -> Node:
        """Start a node's agent.

        Raises:
            TrainstackError: It could not be started.
        """
        ...

    def sweep(self, marker: Path) -> int:
        """End whatever still runs of the run with that marker; gives the number of processes ended."""
        ...
