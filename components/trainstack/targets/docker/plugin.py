"""The registration of the target `docker`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainstack import process_environment
from trainstack.targets.plugin import Capabilities, LocationKey, TargetPlugin

if TYPE_CHECKING:
    from trainstack.targets.base import Target
    from trainstack.targets.compute_spec import ComputeSpec


class DockerPlugin(TargetPlugin):
    """A Docker engine: a container a node."""

    name = "docker"
    capabilities = Capabilities(uses_images=True, remote=True)
    service_runner = "trainstack.core.services.runners.container:ContainerRunner"
    variables = process_environment.DOCKER

    def open(self, spec: ComputeSpec) -> Target:
        """Return the engine."""
        from trainstack.targets.docker.target import DockerTarget  # preview needs no target

        return DockerTarget(spec.docker_host)

    def location(self, spec: ComputeSpec) -> LocationKey:
        """Return the engine's address with the target's name."""
        return spec.target, spec.docker_host, ""

    def describe(self, spec: ComputeSpec) -> str:
        """Name the engine's machine."""
        return f"the machine of {spec.docker_host or 'the Docker engine'}"
