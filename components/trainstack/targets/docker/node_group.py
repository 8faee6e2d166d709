"""The nodes of one attempt on an engine."""

from __future__ import annotations

from collections.abc import Sequence

from trainstack.targets.docker.node import DockerNode
from trainstack.targets.docker.sidecar import Courier


class DockerNodeGroup:
    """Containers, one a node, and the courier beside them."""

    def __init__(self, nodes: Sequence[DockerNode], courier: Courier) -> None:
        self.nodes = nodes
        self._courier = courier

    def wait_synced(self) -> None:
        """Wait until everything is home.

        Raises:
            TrainstackError: Something is not; the volume keeps it.
        """
        self._courier.finish()

    def out_of_memory(self) -> bool:
        """Whether the engine says so of one of the containers."""
        return any(node.out_of_memory for node in self.nodes)
