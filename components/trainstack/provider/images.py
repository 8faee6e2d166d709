"""From a resource's inputs to the image of its environment: which engine, registry and base image they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from trainstack.core.compute import node_sizes
from trainstack.core.environments.base_image import checked_reference
from trainstack.core.environments.environment import EnvironmentSpec, Lock
from trainstack.core.images.registry import Registry
from trainstack.errors import InvalidInputError
from trainstack.provider.base import Properties, known
from trainstack.targets import registry

if TYPE_CHECKING:
    from trainstack.core.images.image import Image


def check(inputs: Properties) -> None:
    """Refuse an invalid registry or base image, without any request.

    Raises:
        InvalidInputError: Says which.
    """
    if known(inputs.get("registry")):
        registry_of(inputs)
        description = inputs.get("environment_spec") or inputs.get("spec")
        own = isinstance(description, dict) and bool(cast("Properties", description).get("image"))
        needed = registry.capabilities(compute_of(inputs).get("target")).needs_registry
        if needed and not inputs.get("registry") and not own:
            raise InvalidInputError(
                "a cluster pulls images from a registry, and the workspace has none: give it `registry`",
                field="registry",
            )
    base = inputs.get("base_image")
    if base and known(base):
        checked_reference(str(base), "base_image")


def compute_of(inputs: Properties) -> Properties:
    """The compute that the environment is for; empty without one."""
    return cast("Properties", inputs.get("compute") or {})


def needs_image(inputs: Properties) -> bool:
    """Whether the environment is used as an image."""
    return registry.capabilities(compute_of(inputs).get("target")).uses_images


def registry_of(inputs: Properties) -> Registry | None:
    """The workspace's registry with its login, None without one or while preview does not know it.

    Raises:
        InvalidInputError: Its address is none.
    """
    registry = inputs.get("registry")
    if not registry or not known(registry):
        return None
    password = inputs.get("registry_password")
    address, username = str(registry["address"]), str(registry.get("username") or "")
    secret = password if isinstance(password, str) and known(password) else ""
    if secret and not username:
        raise InvalidInputError("the registry has a password and no username: give both", field="registry")
    return Registry.model_validate({"address": address, "username": username, "password": secret})


def on_base(inputs: Properties, spec: EnvironmentSpec) -> EnvironmentSpec:
    """The environment on the workspace's base image, where it names none itself and the nodes have no GPU."""
    base = inputs.get("base_image")
    if not base or spec.base_image is not None or spec.only_image or node_sizes.has_gpus(compute_of(inputs)):
        return spec
    return spec.model_copy(update={"base_image": str(base)})


def ensure(inputs: Properties, spec: EnvironmentSpec, lock: Lock, progress: Callable[[str], None]) -> Image:
    """Provide the environment's image where its compute is."""
    # Preview builds no image, so it does not load what does.
    from trainstack.core.images import image
    from trainstack.docker_engine import engine_api

    compute: dict[str, Any] = compute_of(inputs)
    with engine_api.connected(compute.get("docker_host")) as client:
        return image.ensure(
            on_base(inputs, spec), lock, client, registry_of(inputs), progress, gpu=node_sizes.has_gpus(compute)
        )  # fmt: skip


def find_damage(inputs: Properties) -> str | None:
    """A sentence when the image is no longer where it was built, else None.

    Raises:
        TrainstackError: The engine or the registry does not answer.
    """
    # Loaded here for the same reason.
    from trainstack.core.images import image
    from trainstack.docker_engine import engine_api

    reference = str(inputs.get("image") or "")
    with engine_api.connected(compute_of(inputs).get("docker_host"), timeout=10) as client:
        present = bool(reference) and image.exists(client, reference, registry_of(inputs))
    return None if present else "its image is gone"
