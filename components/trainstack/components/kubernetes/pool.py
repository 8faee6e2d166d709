"""From a compute's arguments to the pool of machines that it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from trainstack.components.kubernetes.args import KarpenterPool
from trainstack.components.node import node_inputs
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects import gpu_labels, node_pool
from trainstack.targets.kubernetes.objects.node_pool import PoolSpec

if TYPE_CHECKING:
    from trainstack.components.compute import ComputeArgs


def declared_pool(title: str, args: ComputeArgs, pool: KarpenterPool) -> list[Manifest]:
    """The objects of a compute's pool.

    Args:
        title: What they are called.
        args: The compute.
        pool: What is said of its pool.

    Raises:
        InvalidInputError: A value that they depend on is an output, or no size is known.
    """
    # What knows the sizes is loaded by the programs that have a pool alone.
    from trainstack.core.compute import node_sizes

    for name in ("vm_size", "min_nodes", "max_nodes", "priority", "idle_seconds_before_scaledown"):
        if isinstance(getattr(args, name), pulumi.Output):
            raise InvalidInputError(f"pool: {name} is an output, known only later: give a plain value", field=name)
    described = node_inputs(args.node, args.vm_size, args.workspace.sizes)
    size = node_sizes.of_compute({"vm_size": args.vm_size, "node_size": described})
    if size is None:
        raise InvalidInputError("pool: say what a node holds, with node or vm_size", field="node")
    requirements = {name: list(values) for name, values in pool.requirements.items()}
    if sizes := list(pool.sizes) or ([size.name] if size.name else []):
        requirements["node.kubernetes.io/instance-type"] = sizes
    if pool.zones:
        requirements["topology.kubernetes.io/zone"] = list(pool.zones)
    nodes = int(args.max_nodes)  # pyright: ignore[reportArgumentType]
    gpus = {gpu_labels.resource(size.gpu_vendor): str(nodes * size.gpus)} if size.gpus else {}
    spec = PoolSpec(
        node_class=pool.node_class,
        limits={"cpu": str(nodes * size.cpus), **gpus},
        min_nodes=int(args.min_nodes),  # pyright: ignore[reportArgumentType]
        idle_seconds=int(args.idle_seconds_before_scaledown),  # pyright: ignore[reportArgumentType]
        spot=args.priority == "low",
        requirements=requirements,
    )
    return node_pool.objects(title, pulumi.get_stack(), spec)
