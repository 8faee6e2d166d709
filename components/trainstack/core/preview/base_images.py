"""The images that a stack's own images are built on, and what they are now: asked of the engine that builds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from trainstack.core.compute.node_sizes import has_gpus
from trainstack.core.environments import environment
from trainstack.core.environments.base_image import base_image
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.preview.document import UNKNOWN, Resource
from trainstack.core.services.service import serving_environment
from trainstack.targets import registry

_INSTRUCTION = re.compile(r"^\s*(FROM|ARG)\s+(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")


def find_base_images(resources: Sequence[Resource], root: Path) -> dict[str, str]:
    """Find what images are built on: those of environments, runs, sweeps and services in containers.

    TensorFlow Serving's image counts too, where the service names it. A compute `local` builds none, and one on
    Kubernetes has its images built by the Docker engine that it names.

    Args:
        resources: What the stack is to hold.
        root: The project's folder.

    Returns:
        Digest by the name that is built on.

    Raises:
        TrainstackError: An engine does not answer, or there is no such image.
    """
    digests: dict[str, str] = {}
    for resource in resources:
        properties = resource.inputs.get("compute")
        if not isinstance(properties, Mapping):
            continue
        compute = cast("Mapping[str, Any]", properties)
        if not registry.capabilities(compute.get("target")).uses_images:
            continue
        for name in _base_names(resource, compute, root):
            if name not in digests:
                digests[name] = _digest(name, compute.get("docker_host"))
    return digests


def dockerfile_bases(text: str) -> list[str]:
    """The images that a Dockerfile begins its stages with, those that it makes itself left out.

    Args:
        text: The Dockerfile. Arguments before the first stage count with their defaults; a name that takes one
            without is left out, because nothing says which image it is.
    """
    defaults: dict[str, str] = {}
    stages: set[str] = {"scratch"}
    bases: list[str] = []
    for instruction, rest in _INSTRUCTION.findall(text.replace("\\\n", " ")):
        if instruction.upper() == "ARG":
            if not bases:
                name, _, value = rest.partition("=")
                defaults[name] = value.strip("\"'")
            continue
        words = [word for word in rest.split() if not word.startswith("--")]
        name = _VARIABLE.sub(lambda match: defaults.get(match[1] or match[3]) or match[2] or "", words[0])
        if name and name.lower() not in stages and name not in bases:
            bases.append(name)
        if len(words) == 3 and words[1].lower() == "as":
            stages.add(words[2].lower())
    return bases


def _base_names(resource: Resource, compute: Mapping[str, Any], root: Path) -> Iterator[str]:
    gpu = has_gpus(compute)
    chosen = None if gpu else resource.inputs.get("base_image")
    if server := resource.inputs.get("server_image"):
        yield str(server)
    for spec in _environments(resource, root):
        if spec.dockerfile is not None:
            yield from dockerfile_bases(Path(spec.dockerfile).read_text("utf-8", "replace"))
        elif not spec.only_image:
            yield base_image(spec.python, spec.base_image or chosen, gpu=gpu)


def _environments(resource: Resource, root: Path) -> Iterator[EnvironmentSpec]:
    """What of a resource becomes an image."""
    properties: Any = resource.inputs.get("environment_spec" if resource.kind in ("TrainingRun", "Sweep") else "spec")
    if isinstance(properties, Mapping) and UNKNOWN not in repr(cast("Mapping[str, Any]", properties)):
        yield environment.spec_from_inputs(cast("Mapping[str, Any]", properties), root)
    elif (
        resource.kind in ("WebService", "ServiceImage") and resource.inputs.get("server", "trainstack") == "trainstack"
    ):
        # Which TensorFlow saved the model is not known before it has trained; all serve on the same Python.
        yield environment.get_curated(serving_environment(None))


def _digest(name: str, docker_host: str | None) -> str:
    from trainstack.core.images import registry
    from trainstack.docker_engine import engine_api

    if "@" in name:
        return name.partition("@")[2]
    with engine_api.connected(docker_host, timeout=10) as client:
        resolved = registry.resolve(client, name, None)
    return resolved.partition("@")[2] or resolved
