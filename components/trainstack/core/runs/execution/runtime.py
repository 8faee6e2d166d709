"""A run's environment where its nodes are: a folder of this machine, or an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trainstack.core.compute.compute import has_gpus
from trainstack.core.environments import environment
from trainstack.core.images.registry import Registry
from trainstack.core.runs.request import RunRequest
from trainstack.errors import TrainstackError
from trainstack.targets.base import Runtime

if TYPE_CHECKING:
    from trainstack.core.environments.environment import EnvironmentSpec, Lock
    from trainstack.core.images.image import Image


def ready(request: RunRequest, secrets: Mapping[str, str], because: Callable[[str], None]) -> Runtime:
    """Build the environment unless it is there.

    Args:
        request: What was submitted.
        secrets: What came with it; a registry's password may be among them.
        because: Told, in a few words, what takes time.

    Raises:
        TrainstackError: It cannot be built.
    """
    if request.runtime is not None:
        return request.runtime
    spec, lock, compute = request.environment.spec, request.environment.lock, request.compute
    if not compute.plugin.capabilities.uses_images:
        return Runtime(str(environment.build(spec, lock, because).python))
    built = as_image(request, spec, lock, secrets, because, gpu=has_gpus(compute))
    if compute.plugin.capabilities.needs_registry and "@" not in built.reference:
        raise TrainstackError(
            f"environment {spec.name} is an image of the Docker engine alone, and a cluster pulls from a registry: "
            "give the workspace one with `registry`"
        )
    return Runtime(built.python, built.reference)


def as_image(
    request: RunRequest,
    spec: EnvironmentSpec,
    lock: Lock,
    secrets: Mapping[str, str],
    because: Callable[[str], None],
    *,
    gpu: bool = False,
) -> Image:
    """Make an environment that a run needs an image, unless it is one, and push it to the workspace's registry.

    Args:
        request: The run.
        spec: The environment.
        lock: What that comes to.
        secrets: What came with the run; the registry's password may be among them.
        because: Told, in a few words, what takes time.
        gpu: Whether it is for nodes with GPUs.

    Raises:
        TrainstackError: The engine or the registry does not answer, or the build failed.
    """
    from trainstack.core.images import image
    from trainstack.docker_engine.engine_api import connected

    login = request.registry.model_dump() if request.registry else None
    with connected(request.compute.docker_host) as client:
        return image.ensure(spec, lock, client, Registry.of(login, secrets), because, gpu=gpu)
