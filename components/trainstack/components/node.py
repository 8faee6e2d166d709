"""What one node of a compute holds, said by numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pulumi

from trainstack.components.declaration import checked


@checked
@dataclass(kw_only=True)
class Node:
    """What one node holds. On a cluster this is what a pod gets; a machine must have a little more.

    Attributes:
        cpus: CPUs.
        memory_gib: GiB of memory.
        gpus: GPUs.
        gpu: The model that they must be, such as `nvidia-l4`, `nvidia-t4`, `nvidia-a100-80gb`, `nvidia-h100`; any when
            left out.
        price: What a node costs an hour; the list price of the cheapest machine that holds as much when left out.
        spot_price: The same for `priority="low"`.
    """

    cpus: int
    memory_gib: float
    gpus: int = 0
    gpu: str | None = None
    price: float | None = None
    spot_price: float | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """What is said of it, as inputs of resources."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def own_prices(*names: pulumi.Input[str] | None) -> dict[str, float]:
    """What the stack's configuration says that a node costs, `trainstack:prices`, of some sizes and targets.

    Raises:
        pulumi.RunError: It has something else than prices.
    """
    configured: Any = pulumi.Config("trainstack").get_object("prices") or {}
    wanted = [name.lower() for name in names if isinstance(name, str)]
    try:
        return {str(key): float(price) for key, price in configured.items() if _size_name(key) in wanted}
    except (AttributeError, TypeError, ValueError) as exc:
        raise pulumi.RunError(f"trainstack:prices must map sizes to prices an hour, {{g6.xlarge: 0.8}}: {exc}") from exc


def _size_name(key: object) -> str:
    return str(key).lower().removesuffix("/low")


def node_inputs(
    node: Node | None, vm_size: pulumi.Input[str] | None, sizes: Mapping[str, Node]
) -> dict[str, Any] | None:
    """What a compute says of its nodes in numbers: itself, or by a name that the stack or the workspace gives a node.

    Args:
        node: The compute's.
        vm_size: The compute's.
        sizes: The workspace's names. Those of the stack's configuration, `trainstack:sizes`, go before them.

    Raises:
        pulumi.RunError: There are both, or the configuration has something else than sizes.
    """
    if node is not None:
        if vm_size is not None:
            raise pulumi.RunError("Compute takes node or vm_size, not both: leave one out")
        return node.inputs
    if not isinstance(vm_size, str):
        return None
    configured: Any = pulumi.Config("trainstack").get_object("sizes") or {}
    if not isinstance(configured, dict):
        raise pulumi.RunError("trainstack:sizes must map names to what a node holds: {big: {cpus: 8, memory_gib: 32}}")
    named: dict[str, Any] = {name.lower(): size.inputs for name, size in sizes.items()}
    for name, values in configured.items():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(values, dict):
            raise pulumi.RunError(f"trainstack:sizes: {name}: say what a node holds: {{cpus: 8, memory_gib: 32}}")
        named[str(name).lower()] = Node(**values).inputs  # pyright: ignore[reportUnknownArgumentType]
    return named.get(vm_size.lower())
