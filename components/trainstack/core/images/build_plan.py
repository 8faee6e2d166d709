"""Plan an image: the sources that it is built from, and the tag that follows from their content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from trainstack.core.environments.base_image import base_image
from trainstack.core.environments.lock import Lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.images import build_context, dockerfile
from trainstack.core.images import builder as image_builder
from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.cache import cache_folder

Sources: TypeAlias = tuple[bytes, IO[bytes]]


@dataclass(frozen=True)
class BuildPlan:
    """An image to be built.

    Attributes:
        name: The environment's name, for messages.
        environment: The environment's digest.
        content: Hex SHA-256 over all that is built from and the system that it is for; tags and labels the image.
        sources: Gives the Dockerfile's text and the build context, a tar archive.
        base: The image that ours is built on; empty for a user's own Dockerfile.
        plain: The same for a builder that knows no mounts; none where it need not differ.
    """

    name: str
    environment: str
    content: str
    sources: Callable[[], Sources]
    base: str = ""
    plain: Callable[[], Sources] | None = None

    @property
    def folder(self) -> Path:
        """Where this machine keeps the build's log."""
        return cache_folder() / "images" / self.content


def build_plan(spec: EnvironmentSpec, lock: Lock, system: str, *, gpu: bool = False) -> BuildPlan:
    """Plan the image of an environment, without the network and without reading its context.

    Args:
        spec: An environment of packages or of a Dockerfile.
        lock: Its lock.
        system: Operating system and architecture of the engine, as `linux/amd64`.
        gpu: Whether it is for nodes with GPUs.
    """
    return _of_dockerfile(spec, lock, system) if spec.dockerfile is not None else _of_packages(spec, lock, system, gpu)


def _of_packages(spec: EnvironmentSpec, lock: Lock, system: str, gpu: bool) -> BuildPlan:
    base = base_image(spec.python, spec.base_image, gpu=gpu)
    files = dockerfile.render(spec.name, lock, base, variables=spec.variables)
    text = files.pop("Dockerfile")
    # Without the first line, which names the environment: two of the same content are one image.
    contents = {name: digests.of_bytes(content) for name, content in files.items()}
    content = digests.of_json([system, contents, digests.of_bytes(text.partition(b"\n")[2])])

    def plain() -> Sources:
        if lock.conda or "horovod" in lock.packages:
            needs = "a conda package" if lock.conda else "Horovod"
            raise TrainstackError(
                f"environment {spec.name}: {needs} needs Docker with BuildKit, and this machine's `docker` has none: "
                "install its buildx plugin, or push an image of your own and name it with image="
            )
        simple = dockerfile.render_plain(spec.name, lock, base, variables=spec.variables)
        return simple.pop("Dockerfile"), image_builder.archive(simple)

    return BuildPlan(spec.name, lock.digest, content, lambda: (text, image_builder.archive(files)), base, plain)


def _of_dockerfile(spec: EnvironmentSpec, lock: Lock, system: str) -> BuildPlan:
    def sources() -> Sources:
        context = build_context.read_context(Path(spec.dockerfile or ""), Path(spec.context or ""))
        if context.digest != lock.digest:
            raise TrainstackError(
                f"environment {spec.name}: its Dockerfile or context changed meanwhile: run `pulumi up` again"
            )
        return context.dockerfile, context.archive()

    return BuildPlan(spec.name, lock.digest, digests.of_json([system, "dockerfile", lock.digest]), sources)
