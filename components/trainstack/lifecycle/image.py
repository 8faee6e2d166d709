"""An environment as an image: found again by its content, on the engine or in the registry, else built and pushed.

Whatever runs it refers to it by digest. `docs/environments.md` tells the whole.
"""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from trainstack.errors import TrainstackError
from trainstack.lifecycle import build_settings, dockerfile, image_builder
from trainstack.lifecycle import registry as registries
from trainstack.lifecycle.base_image import base_image
from trainstack.lifecycle.build_failure import explained
from trainstack.lifecycle.environment_spec import EnvironmentSpec
from trainstack.lifecycle.exclusion import alone
from trainstack.lifecycle.lock import Lock
from trainstack.lifecycle.registry import Registry
from trainstack.lifecycle.uv_command import CommandFailedError, Progress, quiet
from trainstack.store import digest as digests
from trainstack.store.atomic import disk_errors
from trainstack.store.cache import cache_folder
from trainstack.targets.docker import engine
from trainstack.targets.docker.engine import Client, engine_errors

__all__ = ["Image", "Registry", "ensure"]

REPOSITORY = "trainstack-environment"
CONTENT = "trainstack.content"
_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"


class Image(BaseModel):
    """An image that the engine has.

    Attributes:
        reference: `NAME@sha256:…` where there is a registry, else the engine's own id, `sha256:…`.
        python: Path of the Python interpreter in it.
    """

    model_config = ConfigDict(frozen=True)

    reference: str
    python: str = dockerfile.PYTHON


def ensure(
    spec: EnvironmentSpec,
    lock: Lock | None,
    client: Client,
    registry: Registry | None = None,
    progress: Progress = quiet,
    *,
    gpu: bool = False,
) -> Image:
    """Have an environment's image on an engine.

    Args:
        spec: The environment.
        lock: Its lock, for an environment of packages.
        client: The engine, of `trainstack.targets.docker.engine.connect`.
        registry: Where images are kept for other machines; none keeps them on the engine alone.
        progress: Is told in one line what is going on.
        gpu: Whether it is for nodes with GPUs.

    Returns:
        The image: already there, pulled, or built. Two callers at once build it once; a killed build leaves nothing
        that the next trips over.

    Raises:
        TrainstackError: The engine or the registry does not answer, or the build failed; names package or line, and
            the log.
    """
    if lock is None:
        raise TrainstackError(f"environment {spec.name} has no lock: it cannot become an image")
    base = base_image(spec.python, gpu=gpu)
    plan = _Plan(spec, lock, base, engine.facts(client).system)
    found = _found(client, plan, registry, progress)
    if found is None:
        with alone(
            plan.folder.with_name(f"{plan.content}.lock"),
            lambda: progress("waiting for another process that builds this image"),
        ):
            found = _found(client, plan, registry, progress) or _built(client, plan, registry, progress)
    return Image(reference=found)


class _Plan:
    """What to build, and the name that follows from it."""

    def __init__(self, spec: EnvironmentSpec, lock: Lock, base: str, system: str) -> None:
        self.spec = spec
        self.lock = lock
        self.base = base
        self.files = dockerfile.render(spec.name, lock, base, variables=spec.variables)
        # Not the first line, which names the environment: two of the same content are one image.
        text = self.files["Dockerfile"].partition(b"\n")[2]
        contents = {name: digests.of_bytes(content) for name, content in self.files.items()}
        self.content = digests.of_json([system, contents | {"Dockerfile": digests.of_bytes(text)}])

    @property
    def folder(self) -> Path:
        """Where this machine keeps the build's log."""
        return cache_folder() / "images" / self.content

    def repository(self, registry: Registry | None) -> str:
        """The image's name, in the registry where there is one."""
        return f"{registry.address}/{REPOSITORY}" if registry else REPOSITORY


def _found(client: Client, plan: _Plan, registry: Registry | None, progress: Progress) -> str | None:
    """The image by content, on the engine, else in the registry; None where neither has it."""
    repository = plan.repository(registry)
    local = _local(client, f"{repository}:{plan.content}", plan.content)
    if registry is None:
        return str(local.id) if local else None
    if local is None:
        # What was built without the registry, or for another, needs no building: only its name and a push.
        local = next(iter(_labelled(client, plan.content)), None)
    kept = registries.digest_of(client, f"{repository}:{plan.content}", registry)
    if kept is not None:
        reference = f"{repository}@{kept}"
        if local is None or reference not in (local.attrs.get("RepoDigests") or ()):
            registries.pull(client, reference, registry, progress)
        return reference
    return _pushed(client, local, plan, registry, progress) if local else None


def _pushed(client: Client, local: Client, plan: _Plan, registry: Registry, progress: Progress) -> str:
    repository = plan.repository(registry)
    with engine_errors(f"naming image {repository}"):
        local.tag(repository, plan.content)
    return f"{repository}@{registries.push(client, repository, plan.content, registry, progress)}"


def _built(client: Client, plan: _Plan, registry: Registry | None, progress: Progress) -> str:
    began = time.monotonic()
    base, labels = _base(client, plan, registry, progress)
    command = image_builder.docker_program()
    tag = f"{REPOSITORY}:{plan.content}"
    with disk_errors(plan.folder):
        plan.folder.mkdir(parents=True, exist_ok=True)
    log_path = plan.folder / "build.log"
    files = dict(plan.files)
    what = image_builder.Build(
        dockerfile=files.pop("Dockerfile"),
        context=image_builder.archive(files),
        tag=tag,
        labels={CONTENT: plan.content, "trainstack.environment": plan.lock.digest, **labels},
        arguments={"BASE_IMAGE": base},
        settings=build_settings.script(),
    )
    progress(f"building image of {len(plan.lock.packages)} packages on {plan.base}")
    with disk_errors(log_path), log_path.open("w", encoding="utf-8") as log:
        try:
            image_builder.build(client, what, command, progress, log)
        except CommandFailedError as exc:
            raise explained(exc, plan.spec.name, plan.files["Dockerfile"].decode(), log_path) from exc
    progress(f"built image in {time.monotonic() - began:.1f} s")
    local = _local(client, tag, plan.content)
    if local is None:
        raise TrainstackError(f"environment {plan.spec.name}: the image was built and has gone: run again")
    return _pushed(client, local, plan, registry, progress) if registry else str(local.id)


def _base(client: Client, plan: _Plan, registry: Registry | None, progress: Progress) -> tuple[str, dict[str, str]]:
    """Have the base image on the engine; gives its reference, by digest where it has one, and labels that say so."""
    local = _get(client, plan.base)
    if local is None:
        registries.pull(client, plan.base, registry, progress)
        local = _get(client, plan.base)
    known = [str(found) for found in (local.attrs.get("RepoDigests") or ())] if local else []
    labels = {_BASE_NAME: plan.base}
    if known:
        labels[_BASE_DIGEST] = known[0].partition("@")[2]
    return (known[0] if known else plan.base), labels


def _local(client: Client, tag: str, content: str) -> Client | None:
    """The engine's image of that tag, if it is what the tag promises."""
    found = _get(client, tag)
    labels: dict[str, str] = (found.labels or {}) if found is not None else {}
    return found if labels.get(CONTENT) == content else None


def _labelled(client: Client, content: str) -> list[Client]:
    with engine_errors("listing images"):
        return list(client.images.list(filters={"label": f"{CONTENT}={content}"}))


def _get(client: Client, reference: str) -> Client | None:
    from docker.errors import ImageNotFound

    with engine_errors(f"looking for image {reference}"):
        try:
            return client.images.get(reference)
        except ImageNotFound:
            return None
