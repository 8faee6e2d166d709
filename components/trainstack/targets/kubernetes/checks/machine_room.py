"""Whether the machines of a named size, where a cluster has some just now, have room for what a pod asks for."""

from __future__ import annotations

from typing import Any

from trainstack.errors import InvalidInputError
from trainstack.targets.base import Capacity
from trainstack.targets.kubernetes.api.client import FORBIDDEN, KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import part, parts
from trainstack.targets.kubernetes.objects.run_objects import resources

INSTANCE_TYPE = "node.kubernetes.io/instance-type"


def check(config: KubernetesConfig, holds: Capacity, seconds: float) -> None:
    """Refuse a pod that such a machine never holds. A role that may not list nodes checks nothing.

    Args:
        config: The cluster.
        holds: What a node is to hold, of which machine.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: Says what the machine leaves.
        TrainstackError: The cluster does not answer.
    """
    from kubernetes import utils

    if not holds.machine:
        return
    library: Any = utils
    api = KubernetesApi(config)
    answer = api.request(
        "looking for nodes",
        lambda: api.core.list_node(
            label_selector=f"{INSTANCE_TYPE}={holds.machine}",
            limit=1,
            _preload_content=False,
            _request_timeout=seconds,
        ),
        (FORBIDDEN,),
    )
    for node in parts(answer or {}, "items"):
        allocatable = part(node, "status", "allocatable")
        for resource, amount in resources(holds)["requests"].items():
            left = allocatable.get(resource, "0")
            if library.parse_quantity(amount) > library.parse_quantity(left):
                raise InvalidInputError(
                    f"kubernetes: a node asks for {resource} {amount}, and {node['metadata']['name']}, a "
                    f"{holds.machine}, has {left}: say what a node holds with node=ts.Node(…)",
                    field="vm_size",
                )
