"""The pins of a stack: a committed file that holds what its environments, data and tools come to.

`trainstack lock` writes it. An environment that it pins is not resolved anew, here or elsewhere, while what is asked
for stays the same. `trainstack lock --check` refuses whatever is not what the file says.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trainstack.abbreviation import abbreviated
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.errors import InvalidInputError
from trainstack.storage.atomic import write_bytes


class EnvironmentPin(BaseModel):
    """An environment as it was locked.

    Attributes:
        spec_digest: Digest of what was asked for; another one is another environment, whose pin this is not.
        digest: The lock's digest.
        packages: Version by package.
        lock: The lock's text; empty where Trainstack brings it (curated) or there are no packages (an image).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    spec_digest: str
    digest: str
    packages: dict[str, str] = {}
    lock: str = ""


class Pins(BaseModel):
    """The content of a pin file.

    Attributes:
        layout: The file's form.
        versions: Version by tool: `trainstack`, `pulumi`, `uv`, `python`.
        environments: By the environment's name.
        base_images: Image by digest, by the name that images are built on.
        datasets: Digest of its content, by the dataset's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    layout: Literal[1] = 1
    versions: dict[str, str] = {}
    environments: dict[str, EnvironmentPin] = {}
    base_images: dict[str, str] = {}
    datasets: dict[str, str] = {}


def read_pins(path: Path) -> Pins:
    """Read a stack's pins.

    Raises:
        InvalidInputError: There are none, or the file is none of ours.
    """
    try:
        return Pins.model_validate_json(path.read_bytes())
    except FileNotFoundError as exc:
        raise InvalidInputError(f"{path} is not there: run `trainstack lock` and commit it") from exc
    except ValidationError as exc:
        raise InvalidInputError(
            f"{path} is damaged or of another Trainstack: restore it, or write it anew with `trainstack lock`"
        ) from exc


def write_pins(path: Path, pins: Pins) -> None:
    """Write a stack's pins: sorted, so that the same pins are the same bytes everywhere."""
    write_bytes(path, (json.dumps(pins.model_dump(), indent=2, sort_keys=True) + "\n").encode())


def apply_pins(spec: EnvironmentSpec, file: Path) -> EnvironmentSpec:
    """The environment with its pinned lock, where the pins hold one for the same specification.

    Args:
        spec: The environment.
        file: The stack's pins.

    Raises:
        InvalidInputError: The file is damaged.
    """
    if spec.lock is not None or spec.curated is not None or spec.only_image or not file.is_file():
        return spec
    pin = read_pins(file).environments.get(spec.name)
    if pin is None or not pin.lock or pin.spec_digest != spec.digest:
        return spec
    return spec.with_fields(lock=pin.lock)


def differences(pinned: Pins, current: Pins) -> list[str]:
    """Compare with the pins: a sentence for each difference.

    Args:
        pinned: The content of the file.
        current: The present state.
    """
    lines = _differences("", pinned.versions, current.versions)
    for name in sorted(pinned.environments.keys() | current.environments.keys()):
        before, after = pinned.environments.get(name), current.environments.get(name)
        if before is None or after is None:
            lines.append(f"environment {name} {'is not pinned' if before is None else 'is pinned and not used'}")
        elif before.digest != after.digest:
            packages = _differences("", before.packages, after.packages)
            lines.append(f"environment {name} moved: {abbreviated(packages) or 'its content changed'}")
    lines += _differences("base image ", pinned.base_images, current.base_images)
    return lines + _differences("dataset ", pinned.datasets, current.datasets)


def _differences(label: str, before: dict[str, str], after: dict[str, str]) -> list[str]:
    lines: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            lines.append(f"{label}{name} is not pinned")
        elif name not in after:
            lines.append(f"{label}{name} is pinned and not used")
        elif before[name] != after[name]:
            lines.append(f"{label}{name} moved: {_short(before[name])} → {_short(after[name])}")
    return lines


def _short(value: str) -> str:
    return value[:12] if re.fullmatch(r"[0-9a-f]{64}", value) else value
