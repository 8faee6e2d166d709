"""Whether a cluster has Karpenter, for a compute that has machines made by it."""

from __future__ import annotations

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects.node_pool import GROUP, VERSION


def check(config: KubernetesConfig, seconds: float) -> None:
    """Ask the cluster for Karpenter's kinds, where the compute has a pool.

    Raises:
        InvalidInputError: It serves none.
        TrainstackError: The cluster does not answer.
    """
    if config.pool is None:
        return
    if KubernetesApi(config).resources_of("asking for Karpenter", GROUP, VERSION, seconds) is None:
        raise InvalidInputError(
            f"kubernetes: pool: the cluster serves no NodePool ({GROUP}/{VERSION}): install Karpenter there, or leave "
            "out pool",
            field="pool",
        )
