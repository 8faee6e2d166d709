"""From a compute's inputs to what they mean: its spec, and the capabilities of its target."""

from __future__ import annotations

from trainstack.core.compute.compute import ComputeSpec, fields_of
from trainstack.provider.base import Properties, validated
from trainstack.targets import registry
from trainstack.targets.plugin import Capabilities


def compute_spec(inputs: Properties) -> ComputeSpec | None:
    """Return what a compute is asked to be; None when it depends on something that preview does not know.

    Raises:
        InvalidInputError: A value is of a wrong type or out of range, or an option is another target's.
    """
    return validated(ComputeSpec, fields_of(inputs), "compute")


def capabilities_of(compute: Properties) -> Capabilities:
    """Return what the target of a compute can do, by the compute's inputs."""
    return registry.capabilities(compute.get("target"))
