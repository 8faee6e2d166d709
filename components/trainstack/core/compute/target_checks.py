"""What preview asks a compute's target: whether what it relies on exists there, and limits suffice."""

from __future__ import annotations

from functools import partial

from trainstack.core.compute.compute import PATIENCE_SECONDS, node_capacity
from trainstack.targets.compute_spec import ComputeSpec


def check_size(spec: ComputeSpec) -> None:
    """Refuse more nodes than the compute's own limits ever hold. Connects to nothing.

    Raises:
        InvalidInputError: Says which limit.
    """
    spec.plugin.check_size(spec, partial(node_capacity, spec))


def check_compute(spec: ComputeSpec) -> None:
    """Ask the target whether what a compute relies on exists there.

    Raises:
        InvalidInputError: Something is missing or never holds one node.
        TrainstackError: The target does not answer.
    """
    spec.plugin.check_compute(spec, partial(node_capacity, spec), PATIENCE_SECONDS)


def check_run(spec: ComputeSpec, node_count: int) -> None:
    """Refuse more nodes than the target's limits ever hold.

    Args:
        spec: The compute.
        node_count: Nodes that the run has at once.

    Raises:
        InvalidInputError: Says which limit.
        TrainstackError: The target does not answer.
    """
    spec.plugin.check_run(spec, partial(node_capacity, spec), node_count, PATIENCE_SECONDS)
