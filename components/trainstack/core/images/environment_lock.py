"""Lock an environment that is an image or a Dockerfile: by the image's digest, or that of Dockerfile and context."""

from __future__ import annotations

from pathlib import Path

from trainstack.core.environments.lock import Lock, lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.environments.uv_command import Progress, no_progress
from trainstack.core.images import build_context, registry
from trainstack.core.images.registry import Registry
from trainstack.docker_engine import engine_api
from trainstack.errors import EngineUnreachableError, InvalidInputError, TrainstackError
from trainstack.storage import digest as digests


def lock_environment(
    spec: EnvironmentSpec,
    progress: Progress = no_progress,
    *,
    retries: int | None = None,
    in_image: bool = False,
    docker_host: str | None = None,
    registry: Registry | None = None,
) -> Lock:
    """Return the lock of an environment: of its packages, or its image.

    Args:
        spec: The environment.
        progress: Receives a line about the progress.
        retries: How often uv asks the index again; its own default when None. 0 suits a preview.
        in_image: Whether it is going to be used as an image, and not as a folder of this machine.
        docker_host: The engine to ask which image a tag means.
        registry: That image's login.

    Raises:
        InvalidInputError: Packages do not exist or do not go together, there is no such image, or an environment that
            is an image is to be used on this machine.
        IndexUnreachableError: The package index did not answer.
        EngineUnreachableError: The engine did not answer.
    """
    if not spec.only_image:
        return lock(spec, progress=progress, retries=retries, here=not in_image)
    if not in_image:
        kind = f"the image {spec.image}" if spec.image else "a Dockerfile"
        raise InvalidInputError(
            f"environment {spec.name} is {kind}, and target 'local' starts no containers: give it packages, or take a "
            "compute with target 'docker'",
            field="environment",
        )
    return image_lock(spec, docker_host, registry)


def image_lock(spec: EnvironmentSpec, docker_host: str | None = None, credentials: Registry | None = None) -> Lock:
    """Return the lock of an environment without packages.

    An image with a digest, and a Dockerfile, need no engine. For a tag the engine asks the registry, or takes the image
    that it has itself.

    Args:
        spec: An environment with `image` or `dockerfile`.
        docker_host: The engine to ask.
        credentials: The registry's login.

    Raises:
        InvalidInputError: The Dockerfile or its context is not usable, or there is no such image.
        EngineUnreachableError: The engine does not answer.
    """
    if spec.image is None:
        context = build_context.read_context(Path(spec.dockerfile or ""), Path(spec.context or ""))
        files = {"Dockerfile": digests.of_bytes(context.dockerfile), **context.files}
        return Lock(python="", packages={}, text="", digest=context.digest, files=files)
    reference = spec.image if "@" in spec.image else _resolve_tag(spec.image, docker_host, credentials)
    # A digest is the same whatever the registry that it was pulled from is called.
    return Lock(
        python="", packages={}, text="", digest=digests.of_json({"image": reference.partition("@")[2] or reference}),
        image=reference,
    )  # fmt: skip


def _resolve_tag(name: str, docker_host: str | None, credentials: Registry | None) -> str:
    try:
        client = engine_api.connect(docker_host, timeout=10)
    except TrainstackError as exc:
        raise EngineUnreachableError(f"image {name}: {exc}") from exc
    try:
        return registry.resolve(client, name, credentials)
    finally:
        client.close()
