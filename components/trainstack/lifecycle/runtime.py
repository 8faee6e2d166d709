"""A run's environment where its nodes are: a folder of this machine, or an image."""

from __future__ import annotations

from collections.abc import Callable

from trainstack.lifecycle import environment
from trainstack.lifecycle.compute import ComputeSpec
from trainstack.lifecycle.run import RunRequest
from trainstack.targets import Runtime, Target


def ready(request: RunRequest, target: Target, because: Callable[[str], None]) -> Runtime:
    """Build the environment unless it is there.

    Args:
        request: What was submitted.
        target: Where the nodes are going to be.
        because: Told, in a few words, what takes time.

    Raises:
        TrainstackError: It cannot be built.
    """
    spec = environment.EnvironmentSpec.model_validate(request.environment["spec"])
    lock = environment.Lock.model_validate(request.environment["lock"])
    if not target.images:
        return Runtime(str(environment.build(spec, lock, because).python))
    from trainstack.lifecycle import image
    from trainstack.targets.docker.engine import connected

    compute = ComputeSpec.model_validate(request.compute)
    with connected(compute.docker_host) as client:
        made = image.ensure(spec, lock, client, None, because)
    return Runtime(made.python, made.reference)
