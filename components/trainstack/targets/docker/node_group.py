"""The nodes of one attempt on an engine."""

from __future__ import annotations

from collections.abc import Sequence

from trainstack.targets.docker.node import DockerNode
from trainstack.targets.docker.sidecar import Sidecar


class DockerNodeGroup:
    """Containers, one a node, and the sidecar beside them."""

    def __init__(self, nodes: Sequence[DockerNode], sidecar: Sidecar) -> None:
        self.nodes = nodes
        self._sidecar = sidecar

    def wait_synced(self) -> None:
        """Wait until all outputs are in the run directory.

        Raises:
            TrainstackError: Something is missing; the volume keeps it.
        """
        self._sidecar.finish()

    def preempted(self) -> str:
        """Nobody takes these nodes for others."""
        return ""

    def out_of_memory(self) -> bool:
        """Whether the engine says so of one of the containers."""
        return any(node.out_of_memory for node in self.nodes)
