"""The nodes of one attempt on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from trainstack.targets.kubernetes.node import KubernetesNode
from trainstack.targets.kubernetes.pods import Pods
from trainstack.targets.kubernetes.transfer.sync_client import Carrier

WORKERS = 16
"""Pods that are talked to at once."""


class KubernetesNodeGroup:
    """Pods, one a node, each with its way home."""

    def __init__(
        self,
        nodes: Sequence[KubernetesNode],
        carriers: Sequence[Carrier],
        pods: Pods,
        settled: Callable[[], None],
        released: Callable[[], None],
    ) -> None:
        self.nodes = nodes
        self.carriers = carriers
        self._pods = pods
        self._settled = settled
        self._released = released

    def wait_synced(self) -> None:
        """Wait until everything is home, note that, and let the pods go.

        Raises:
            TrainstackError: Something is not; the pods keep it.
        """
        # All ask for their last look at once, and one that fails holds up no other.
        with ThreadPoolExecutor(max_workers=len(self.carriers)) as pool:
            asked = [pool.submit(carrier.finish) for carrier in self.carriers]
        for one in asked:
            one.result()
        self._settled()
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            list(pool.map(Carrier.let_go, self.carriers))
        self._released()
        self._pods.close()

    def out_of_memory(self) -> bool:
        """Whether the cluster says so of one of the nodes."""
        return any(node.out_of_memory for node in self.nodes)
