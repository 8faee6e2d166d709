"""An environment in a folder: enough to have the same elsewhere, with Trainstack or with `docker build` alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from trainstack.core.environments.base_image import base_image
from trainstack.core.environments.conda import specification_text
from trainstack.core.environments.lock import lock
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.core.images import build_context, dockerfile
from trainstack.core.images.environment_lock import image_lock
from trainstack.errors import InvalidInputError
from trainstack.storage.atomic import disk_errors, read_json, write_bytes, write_json

_LOCK = "requirements.lock"
_SPEC = "environment.json"
_CONTEXT = "context"


def save_to_directory(spec: EnvironmentSpec, folder: Path | str) -> None:
    """Write an environment into a folder from which it can be rebuilt anywhere, to the same digest.

    The folder gets `environment.json` (the whole) and a `Dockerfile`, which `docker build` turns into the image that
    we would build. One of packages also gets `requirements.in` or `conda.yaml` (what was asked for),
    `requirements.lock` (what that came to) and `image/` (the lock by layers); one of a Dockerfile `context/`, for
    `docker build --file Dockerfile context`. Files of the same names are replaced.

    Args:
        spec: The environment; it is locked when it is not yet.
        folder: The folder; made when missing.

    Raises:
        TrainstackError: It cannot be locked, its image is not known, or the folder cannot be written.
    """
    folder = Path(folder)
    description: dict[str, Any] = spec.model_dump(
        mode="json", exclude={"lock", "dockerfile", "context"}, exclude_none=True
    )
    if spec.image is not None:
        description["image"] = image_lock(spec).image
        write_bytes(folder / "Dockerfile", f"FROM {description['image']}\n".encode())
    elif spec.dockerfile is not None:
        _save_context(build_context.read_context(Path(spec.dockerfile), Path(spec.context or "")), folder)
        description |= {"dockerfile": "Dockerfile", "context": _CONTEXT}
    else:
        _save_packages(spec, folder)
        description["lock"] = _LOCK
    write_json(folder / _SPEC, description)


def load_from_directory(folder: Path | str) -> EnvironmentSpec:
    """Read an environment that `save_to_directory` wrote; it brings its lock along.

    Raises:
        InvalidInputError: The folder does not hold one.
    """
    folder = Path(folder)
    try:
        description: dict[str, Any] = read_json(folder / _SPEC)
        if "lock" in description:
            description["lock"] = (folder / str(description["lock"])).read_text("utf-8")
        for path in ("dockerfile", "context"):
            if path in description:
                description[path] = str((folder / str(description[path])).absolute())
    except (OSError, TypeError) as exc:
        raise InvalidInputError(
            f"{folder} holds no saved environment ({_SPEC} and what it names): save one there with save_to_directory"
        ) from exc
    return EnvironmentSpec.model_validate(description)


def _save_packages(spec: EnvironmentSpec, folder: Path) -> None:
    locked = lock(spec, here=False)
    if spec.conda is not None:
        write_bytes(folder / "conda.yaml", specification_text({"name": spec.name, **spec.conda}).encode())
    else:
        write_bytes(folder / "requirements.in", "".join(f"{line}\n" for line in spec.packages).encode())
    write_bytes(folder / _LOCK, locked.text.encode())
    base = base_image(spec.python, spec.base_image)
    # Layers of what was saved here before must not stay: they would look as if they belonged to it.
    shutil.rmtree(folder / dockerfile.FOLDER, ignore_errors=True)
    for name, content in dockerfile.render(spec.name, locked, base, variables=spec.variables).items():
        write_bytes(folder / name, content)


def _save_context(context_files: build_context.BuildContext, folder: Path) -> None:
    context = folder / _CONTEXT
    write_bytes(folder / "Dockerfile", context_files.dockerfile)
    with disk_errors(context), context_files.archive() as packed:
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
        build_context.unpack(packed, context)
