"""Properties as Pulumi's engine hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def integral(value: Any) -> Any:
    """Pulumi hands every number over as a float: give whole ones back as what they were."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: integral(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [integral(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
