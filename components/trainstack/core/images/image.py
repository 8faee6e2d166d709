"""An environment as an image: found again by its content, on the engine or in the registry, else built and pushed.

Runs refer to it by digest. `docs/environments.md` explains images to users.
"""

from __future__ import annotations

import os
import time

from pydantic import BaseModel, ConfigDict

from trainstack.core.environments.lock import Lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.environments.uv_command import Progress, no_progress
from trainstack.core.images import build_settings, dockerfile
from trainstack.core.images import builder as image_builder
from trainstack.core.images import interpreter as image_python
from trainstack.core.images import registry as registries
from trainstack.core.images.build_failure import build_error
from trainstack.core.images.build_plan import BuildPlan, build_plan
from trainstack.core.images.registry import Registry
from trainstack.docker_engine import engine_api
from trainstack.docker_engine.engine_api import DockerClient, engine_errors
from trainstack.errors import CommandFailedError, TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors

__all__ = ["Image", "Registry", "ensure", "exists", "pull"]

REPOSITORY = "trainstack-environment"
CONTENT = "trainstack.content"
ENVIRONMENT = "trainstack.environment"
_BASE_NAME = "org.opencontainers.image.base.name"
_INDEX = ("UV_DEFAULT_INDEX", "PIP_INDEX_URL")
_BASE_DIGEST = "org.opencontainers.image.base.digest"


class Image(BaseModel):
    """An image on an engine.

    Attributes:
        reference: `NAME@sha256:…` where there is a registry, else the engine's own id, `sha256:…`.
        python: Path of the Python interpreter in it.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    reference: str
    python: str = dockerfile.PYTHON


def ensure(
    spec: EnvironmentSpec,
    lock: Lock | None,
    client: DockerClient,
    registry: Registry | None = None,
    progress: Progress = no_progress,
    *,
    gpu: bool = False,
) -> Image:
    """Provide an environment's image on an engine.

    Args:
        spec: The environment.
        lock: What `trainstack.core.images.environment_lock.lock_environment` says of it.
        client: The engine, of `trainstack.docker_engine.engine_api.connect`.
        registry: Where images are pushed for other machines; without one they stay on the engine.
        progress: Receives a line about the progress.
        gpu: Whether it is for nodes with GPUs.

    Returns:
        The image: already there, pulled, or built. Two callers at once build it once; a killed build leaves nothing
        that the next trips over.

    Raises:
        TrainstackError: The engine or the registry does not answer, or the build failed; names package or line, and
            the log.
    """
    if lock is None:
        raise TrainstackError(f"environment {spec.name} is not locked: it cannot become an image")
    if lock.image:
        if _get_image(client, lock.image) is None:
            registries.pull(client, lock.image, registry, progress)
        return Image(
            reference=lock.image, python=image_python.find_interpreter(client, lock.image, spec.image or lock.image)
        )
    reference = ensure_built(
        build_plan(spec, lock, engine_api.engine_info(client).system, gpu=gpu), client, registry, progress
    )
    if spec.only_image:
        return Image(reference=reference, python=image_python.find_interpreter(client, reference, f"of {spec.name}"))
    return Image(reference=reference)


def ensure_built(
    plan: BuildPlan, client: DockerClient, registry: Registry | None, progress: Progress = no_progress
) -> str:
    """Provide a planned image on an engine, and in the registry if there is one; return its reference by digest.

    Raises:
        TrainstackError: The engine or the registry does not answer, or the build failed.
    """
    _mark_used(plan)
    reference = _find(client, plan, registry, progress)
    if reference is None:
        with locks.exclusive(
            plan.folder.with_name(f"{plan.content}.lock"),
            lambda: progress("waiting for another process that builds this image"),
        ):
            existing = _find(client, plan, registry, progress)
            reference = existing or _build(client, plan, registry, progress)
    return reference


def pull(client: DockerClient, name: str, registry: Registry | None, progress: Progress = no_progress) -> Image:
    """Pull an image onto an engine, by digest, whatever programs are in it.

    Raises:
        InvalidInputError: There is no such image.
        TrainstackError: The engine or the registry does not answer.
    """
    reference = name if "@" in name else registries.resolve(client, name, registry)
    if _get_image(client, reference) is None:
        registries.pull(client, reference, registry, progress)
    return Image(reference=reference, python="")


def exists(client: DockerClient, reference: str, registry: Registry | None = None) -> bool:
    """Whether the engine or its registry has an image.

    Raises:
        TrainstackError: One of them does not answer.
    """
    if _get_image(client, reference) is not None:
        return True
    return "@" in reference and registries.digest_of(client, reference, registry) is not None


def _mark_used(plan: BuildPlan) -> None:
    """Record that the image is used now, for `trainstack gc --environments`."""
    with disk_errors(plan.folder):
        plan.folder.mkdir(parents=True, exist_ok=True)
        os.utime(plan.folder)


def _repository(registry: Registry | None) -> str:
    """The repository of all environments' images, in the registry if there is one."""
    return f"{registry.address}/{REPOSITORY}" if registry else REPOSITORY


def _find(client: DockerClient, plan: BuildPlan, registry: Registry | None, progress: Progress) -> str | None:
    """The image by content, on the engine, else in the registry; None where neither has it."""
    repository = _repository(registry)
    local = _find_local(client, f"{repository}:{plan.content}", plan.content)
    if registry is None:
        return str(local.id) if local else None
    if local is None:
        # What was built without the registry, or for another, needs no building: only its name and a push.
        local = next(iter(_list_by_content(client, plan.content)), None)
    digest = registries.digest_of(client, f"{repository}:{plan.content}", registry)
    if digest is not None:
        reference = f"{repository}@{digest}"
        if local is None or reference not in (local.attrs.get("RepoDigests") or ()):
            registries.pull(client, reference, registry, progress)
        return reference
    return _push(client, local, plan, registry, progress) if local else None


def _push(client: DockerClient, local: DockerClient, plan: BuildPlan, registry: Registry, progress: Progress) -> str:
    repository = _repository(registry)
    with engine_errors(f"naming image {repository}"):
        local.tag(repository, plan.content)
    return f"{repository}@{registries.push(client, repository, plan.content, registry, progress)}"


def _build(client: DockerClient, plan: BuildPlan, registry: Registry | None, progress: Progress) -> str:
    began = time.monotonic()
    labels = {CONTENT: plan.content, ENVIRONMENT: plan.environment}
    arguments = dict[str, str]()
    if plan.base:
        base, base_labels = _ensure_base(client, plan, registry, progress)
        labels |= base_labels
        arguments["BASE_IMAGE"] = base
    command = image_builder.docker_program()
    sources = plan.sources
    if command is None and plan.plain is not None:
        sources = plan.plain
        arguments |= _build_arguments()
    text, context = sources()
    log_path = plan.folder / "build.log"
    progress(f"building image of {plan.name}")
    tag = f"{REPOSITORY}:{plan.content}"
    with disk_errors(log_path), context, log_path.open("w", encoding="utf-8") as log:
        # A user's Dockerfile may mount the settings too; it needs not.
        request = image_builder.BuildRequest(text, context, tag, labels, arguments, build_settings.script())
        try:
            image_builder.build(client, request, command, progress, log)
        except CommandFailedError as exc:
            raise build_error(exc, plan.name, text.decode(errors="replace"), log_path, own=bool(plan.base)) from exc
    progress(f"built image in {time.monotonic() - began:.1f} s")
    local = _find_local(client, tag, plan.content)
    if local is None:
        raise TrainstackError(f"environment {plan.name}: the image was built and has gone: run again")
    return _push(client, local, plan, registry, progress) if registry else str(local.id)


def _build_arguments() -> dict[str, str]:
    """The package index as build arguments, for a builder without secrets; the image's history shows them."""
    settings = {name: value for name, value in build_settings.variables().items() if name in _INDEX}
    for value in settings.values():
        if "@" in value:
            raise TrainstackError(
                "the package index's address holds a password, and this machine's builder would write it into the "
                "image's history: install Docker with BuildKit (the buildx plugin)"
            )
    return settings


def _ensure_base(
    client: DockerClient, plan: BuildPlan, registry: Registry | None, progress: Progress
) -> tuple[str, dict[str, str]]:
    """Provide the base image on the engine; return its reference, by digest if it has one, and labels with both."""
    local = _get_image(client, plan.base)
    if local is None:
        registries.pull(client, plan.base, registry, progress)
        local = _get_image(client, plan.base)
    digests = [str(digest) for digest in (local.attrs.get("RepoDigests") or ())] if local else []
    labels = {_BASE_NAME: plan.base}
    if digests:
        labels[_BASE_DIGEST] = digests[0].partition("@")[2]
    return (digests[0] if digests else plan.base), labels


def _find_local(client: DockerClient, tag: str, content: str) -> DockerClient | None:
    """The engine's image of that tag, if its content is that of the tag."""
    image = _get_image(client, tag)
    labels: dict[str, str] = (image.labels or {}) if image is not None else {}
    return image if labels.get(CONTENT) == content else None


def _list_by_content(client: DockerClient, content: str) -> list[DockerClient]:
    with engine_errors("listing images"):
        ids: list[str] = client.api.images(quiet=True, filters={"label": f"{CONTENT}={content}"})
    # Each is looked at by itself, as another process may remove one meanwhile.
    return [image for each in ids if (image := _get_image(client, each)) is not None]


def _get_image(client: DockerClient, reference: str) -> DockerClient | None:
    from docker.errors import ImageNotFound

    with engine_errors(f"looking for image {reference}"):
        try:
            return client.images.get(reference)
        except ImageNotFound:
            return None
