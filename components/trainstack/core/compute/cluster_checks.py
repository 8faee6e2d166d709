"""What can be known in preview of a compute on a cluster: whether namespace and claims are there, and quotas suffice.

Nothing here loads the client library for computes elsewhere.
"""

from __future__ import annotations

from trainstack.core.compute.compute import PATIENCE_SECONDS, ComputeSpec, node_capacity
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.config import Cluster


def check_quota(spec: ComputeSpec) -> None:
    """Refuse more nodes than the compute's own quota ever holds; asks nobody.

    Raises:
        InvalidInputError: Says which resource.
    """
    if spec.target == "kubernetes" and spec.kubernetes and spec.kubernetes.quota:
        from trainstack.targets.kubernetes.checks import quota

        quota.check(spec.kubernetes, node_capacity(spec), spec.max_nodes)


def check_compute(spec: ComputeSpec) -> None:
    """Ask the cluster for the namespace, its claims and its quotas.

    Raises:
        InvalidInputError: The namespace is missing and is not to be created, or never holds one node; a claim is
            missing, or a store that not all nodes can write to.
        TrainstackError: The cluster does not answer.
    """
    if spec.target != "kubernetes":
        return
    from trainstack.targets.kubernetes.checks import pvc

    cluster = spec.kubernetes or Cluster()
    check_namespace(cluster)
    pvc.check_found(cluster, spec.max_nodes, PATIENCE_SECONDS)
    check_run(spec, 1)


def check_namespace(cluster: Cluster) -> None:
    """Ask the cluster for a namespace that is taken for there.

    Raises:
        InvalidInputError: It is missing and is not to be created.
        TrainstackError: The cluster does not answer.
    """
    from trainstack.targets.kubernetes.api.client import Access
    from trainstack.targets.kubernetes.objects import namespace

    if not cluster.create_namespace and namespace.look(Access(cluster), PATIENCE_SECONDS) is None:
        raise InvalidInputError(
            f"kubernetes: there is no {cluster.described}: have it created, or leave out create_namespace",
            field="namespace",
        )


def check_run(spec: ComputeSpec, node_count: int) -> None:
    """Refuse more nodes than the quotas of the namespace ever hold.

    Args:
        spec: The compute.
        node_count: Nodes that the run has at once.

    Raises:
        InvalidInputError: Says which quota and which resource.
    """
    if spec.target != "kubernetes":
        return
    from trainstack.targets.kubernetes.checks import quota

    quota.check_found(spec.kubernetes or Cluster(), node_capacity(spec), node_count, PATIENCE_SECONDS)
