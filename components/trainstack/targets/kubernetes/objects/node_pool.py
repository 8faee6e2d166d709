"""A pool of machines that Karpenter makes for the runs of one compute, as `NodePool` objects. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.manifest import Manifest

GROUP, VERSION = "karpenter.sh", "v1"
POOL = "trainstack.pool"
"""Label and taint of the pool's machines: runs of its compute go there, and nothing else does."""
_NODE_CLASSES = {
    "EC2NodeClass": "karpenter.k8s.aws",
    "AKSNodeClass": "karpenter.azure.com",
    "GCENodeClass": "karpenter.k8s.gcp",
    "KWOKNodeClass": "karpenter.kwok.sh",
}


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """A pool to be declared.

    Attributes:
        node_class: `KIND/NAME`, or `GROUP/KIND/NAME`, of the cloud's node class.
        limits: What all machines together may have, by resource.
        min_nodes: Machines that stay while nothing runs.
        idle_seconds: How long an empty machine stays.
        spot: Whether machines are those that can be taken away.
        requirements: Values by label that machines must have one of.
    """

    node_class: str
    limits: Mapping[str, str]
    min_nodes: int
    idle_seconds: int
    spot: bool
    requirements: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])


def objects(title: str, stack: str, spec: PoolSpec) -> list[Manifest]:
    """The pool that grows and shrinks and, with `min_nodes`, one of machines that stay.

    Args:
        title: What they are called.
        stack: The Pulumi stack that declares them.
        spec: The pool.

    Raises:
        InvalidInputError: The node class is none.
    """
    metadata = {"labels": {labels.MANAGED: "trainstack", labels.STACK: labels.value(stack)}}

    def pool(name: str, **settings: object) -> Manifest:
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "NodePool",
            "metadata": {**metadata, "name": name},
            "spec": {**settings, "template": _template(title, spec)},
        }

    # Only machines that are empty go: a run is never moved to save money.
    disruption = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": f"{spec.idle_seconds}s"}
    pools = [pool(title, limits=dict(spec.limits), disruption=disruption)]
    if spec.min_nodes:
        pools.append(pool(f"{title}-stays", replicas=spec.min_nodes, limits={"nodes": spec.min_nodes}))
    return pools


def _template(title: str, spec: PoolSpec) -> Manifest:
    values: dict[str, Sequence[str]] = {
        "karpenter.sh/capacity-type": ["spot" if spec.spot else "on-demand"],
        "kubernetes.io/arch": ["amd64"],
        "kubernetes.io/os": ["linux"],
        **spec.requirements,
    }
    return {
        "metadata": {"labels": {POOL: title}},
        "spec": {
            "nodeClassRef": _node_class(spec.node_class),
            "requirements": [{"key": key, "operator": "In", "values": list(each)} for key, each in values.items()],
            "taints": [{"key": POOL, "value": title, "effect": "NoSchedule"}],
            "expireAfter": "Never",
        },
    }


def _node_class(reference: str) -> Manifest:
    parts = reference.split("/")
    if len(parts) == 2 and parts[0] in _NODE_CLASSES:
        parts = [_NODE_CLASSES[parts[0]], *parts]
    if len(parts) != 3 or not all(parts):
        raise InvalidInputError(
            f"pool: node_class {reference!r} is none: write EC2NodeClass/NAME, AKSNodeClass/NAME or GROUP/KIND/NAME",
            field="node_class",
        )
    return dict(zip(("group", "kind", "name"), parts, strict=True))
