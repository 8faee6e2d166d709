"""An environment that a stack's committed pins hold a lock for: it is taken, so that nothing is resolved anew."""

from __future__ import annotations

from pathlib import Path

from trainstack.core.environments.pins import read_pins
from trainstack.core.environments.spec import EnvironmentSpec


def pinned(spec: EnvironmentSpec, file: Path) -> EnvironmentSpec:
    """The environment with its pinned lock, where the pins hold one for what is asked for.

    Args:
        spec: The environment.
        file: The stack's pins.

    Raises:
        InvalidInputError: The file is damaged.
    """
    if spec.lock is not None or spec.curated is not None or spec.only_image or not file.is_file():
        return spec
    pin = read_pins(file).environments.get(spec.name)
    if pin is None or not pin.lock or pin.asked != spec.digest:
        return spec
    return EnvironmentSpec.model_validate({**spec.model_dump(), "lock": pin.lock})
