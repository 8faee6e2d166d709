"""The nodes of one attempt on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from trainstack.targets.kubernetes.node import KubernetesNode
from trainstack.targets.kubernetes.pods import Pods
from trainstack.targets.kubernetes.transfer.sync_client import SyncClient

WORKERS = 16
"""Pods that are talked to at once."""


class KubernetesNodeGroup:
    """Pods, one a node, each with its sync client."""

    def __init__(
        self,
        nodes: Sequence[KubernetesNode],
        sync_clients: Sequence[SyncClient],
        pods: Pods,
        on_synced: Callable[[], None],
        on_released: Callable[[], None],
        preempted: Callable[[], str],
    ) -> None:
        self.nodes = nodes
        self.sync_clients = sync_clients
        self._pods = pods
        self._on_synced = on_synced
        self._on_released = on_released
        self._preempted = preempted

    def wait_synced(self) -> None:
        """Wait until all outputs are fetched, note that, and release the pods.

        Raises:
            TrainstackError: Some outputs are not fetched; the pods keep them.
        """
        # All ask for their last look at once, and one that fails holds up no other.
        with ThreadPoolExecutor(max_workers=len(self.sync_clients)) as pool:
            futures = [pool.submit(sync_client.finish) for sync_client in self.sync_clients]
        for future in futures:
            future.result()
        self._on_synced()
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            list(pool.map(SyncClient.let_go, self.sync_clients))
        self._on_released()
        self._pods.close()

    def preempted(self) -> str:
        """Why Kueue took the pods away, in its own words; empty where it did not."""
        return self._preempted()

    def out_of_memory(self) -> bool:
        """Whether the cluster says so of one of the nodes."""
        return any(node.out_of_memory for node in self.nodes)
