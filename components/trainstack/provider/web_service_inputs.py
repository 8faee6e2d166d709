"""From a web service's inputs to where it runs."""

from __future__ import annotations

from trainstack.provider import images
from trainstack.provider.base import Properties
from trainstack.targets import registry


def placed(inputs: Properties) -> Properties:
    """Return a service's inputs with where it runs, which its compute says."""
    compute = images.compute_of(inputs)
    target = compute.get("target")
    config = compute.get(str(target or registry.DEFAULT))
    return {**inputs, "target": target, "docker_host": compute.get("docker_host"), "cluster": config}
