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
from trainstack.core.environments.pins import apply_pins
from trainstack.core.environments.spec import CURATED_PREFIX, DEFAULT_PYTHON, EnvironmentSpec
from trainstack.core.environments.uv_command import Progress
from trainstack.core.environments.venv import BuiltEnvironment, build, find_damage, location
from trainstack.errors import InvalidInputError

__all__ = [
    "CURATED_PREFIX",
    "DEFAULT_PYTHON",
    "BuiltEnvironment",
    "EnvironmentSpec",
    "Lock",
    "Progress",
    "build",
    "cached_lock",
    "clone",
    "curated_names",
    "find_damage",
    "get_curated",
    "location",
    "lock",
    "spec_from_inputs",
]


def spec_from_inputs(described: Mapping[str, Any], root: Path) -> EnvironmentSpec:
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
    spec = _spec_from_inputs(given, root)
    if pins is not None:
        spec = apply_pins(spec, root / str(pins))
    return spec if base is None else EnvironmentSpec.model_validate({**spec.model_dump(), "base_image": base})


def _spec_from_inputs(given: dict[str, Any], root: Path) -> EnvironmentSpec:
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
