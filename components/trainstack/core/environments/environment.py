"""Training environments: the one module that others import for them.

An `EnvironmentSpec` says what is wanted, `lock` pins it, `build` makes it on this machine, `broken` looks after it.
`docs/environments.md` tells the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainstack.core.environments.curated import curated_names, get_curated
from trainstack.core.environments.lock import Lock, cached_lock, lock
from trainstack.core.environments.pinned import pinned
from trainstack.core.environments.spec import CURATED_PREFIX, DEFAULT_PYTHON, EnvironmentSpec
from trainstack.core.environments.uv_command import IndexUnreachableError, Progress, quiet
from trainstack.core.environments.venv import Built, broken, build, location
from trainstack.core.images.identity import ImageUnknownError, identified
from trainstack.core.images.registry import Registry
from trainstack.errors import InvalidInputError

__all__ = [
    "CURATED_PREFIX",
    "DEFAULT_PYTHON",
    "UNREACHABLE",
    "Built",
    "EnvironmentSpec",
    "ImageUnknownError",
    "IndexUnreachableError",
    "Lock",
    "Progress",
    "broken",
    "build",
    "cached_lock",
    "clone",
    "curated_names",
    "declared",
    "get_curated",
    "location",
    "lock",
    "locked",
]

UNREACHABLE = (IndexUnreachableError, ImageUnknownError)
"""What `locked` raises when somebody did not answer: in a preview the environment is then not known yet."""


def declared(described: Mapping[str, Any], root: Path) -> EnvironmentSpec:
    """The environment that a program describes.

    Args:
        described: A `name`, one of `packages`, `requirements_file`, `conda_file`, `conda`, `curated`, `image` and
            `dockerfile`, and where it applies `python`, `variables`, `lock`, `base_image`, `context`, and `pins`, the
            file of the stack's pins. A curated one goes by its name, so that state stays small and its packages come
            with Trainstack.
        root: What the files' paths are relative to.

    Raises:
        InvalidInputError: A file is missing, something in it is wrong, or no curated environment has that name.
    """
    given = dict(described)
    base, pins = given.pop("base_image", None), given.pop("pins", None)
    spec = _declared(given, root)
    if pins is not None:
        spec = pinned(spec, root / str(pins))
    return spec if base is None else EnvironmentSpec.model_validate({**spec.model_dump(), "base_image": base})


def _declared(given: dict[str, Any], root: Path) -> EnvironmentSpec:
    if "curated" in given:
        return get_curated(str(given["curated"]))
    name, variables, lock = str(given["name"]), given.get("variables"), given.get("lock")
    if "dockerfile" in given:
        paths = {"dockerfile": str(root / given["dockerfile"]), "context": str(root / given["context"])}
        return EnvironmentSpec.model_validate({**given, **paths})
    if "requirements_file" in given:
        python = str(given.get("python", DEFAULT_PYTHON))
        path = root / given["requirements_file"]
        return EnvironmentSpec.from_requirements_file(path, name=name, python=python, variables=variables)
    if "conda_file" in given:
        return EnvironmentSpec.from_conda_file(root / given["conda_file"], name=name, variables=variables)
    if "conda" in given:
        spec = EnvironmentSpec.from_conda(given["conda"], name=name, variables=variables)
        return EnvironmentSpec.model_validate({**spec.model_dump(), "lock": lock})
    return EnvironmentSpec.model_validate(given)


def locked(
    spec: EnvironmentSpec,
    progress: Progress = quiet,
    *,
    retries: int | None = None,
    target: str = "local",
    docker_host: str | None = None,
    registry: Registry | None = None,
) -> Lock:
    """Return what names an environment: the lock of its packages, or its image.

    Args:
        spec: The environment.
        progress: Is told in one line what is going on.
        retries: How often uv asks the index again; its own default when None. 0 suits a preview.
        target: Where it is going to be used.
        docker_host: The engine to ask which image a tag means.
        registry: That image's login.

    Raises:
        InvalidInputError: Packages do not exist or do not go together, there is no such image, or an environment that
            is an image is to be used on this machine.
        IndexUnreachableError: The package index did not answer.
        ImageUnknownError: The engine did not answer.
    """
    if not spec.only_image:
        return lock(spec, progress=progress, retries=retries, here=target == "local")
    if target == "local":
        kind = f"the image {spec.image}" if spec.image else "a Dockerfile"
        raise InvalidInputError(
            f"environment {spec.name} is {kind}, and target 'local' starts no containers: give it packages, or take a "
            "compute with target 'docker'",
            field="environment",
        )
    return identified(spec, docker_host, registry)


def clone(spec: EnvironmentSpec, new_name: str, *, add: Iterable[str] = ()) -> EnvironmentSpec:
    """Return the same environment under another name, where wanted with packages besides.

    Args:
        spec: A curated environment or one's own.
        new_name: Its new name.
        add: PEP 508 lines to add. With any, the lock that `spec` brings along is dropped and made anew.

    Raises:
        InvalidInputError: The name is not usable, or packages are added to a conda specification.
    """
    added = tuple(add)
    if added and spec.conda is not None:
        raise InvalidInputError("add packages to the pip list of the conda specification instead", field="packages")
    return EnvironmentSpec(
        name=new_name,
        python=spec.python,
        packages=(*spec.packages, *added),
        conda=spec.conda,
        variables=spec.variables,
        lock=None if added else spec.lock,
    )
