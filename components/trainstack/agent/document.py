"""JSON documents between supervisor and agents: validated against a dataclass when read, written atomically."""

from __future__ import annotations

import json
import math
import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from .errors import LaunchError

Built = TypeVar("Built")


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON: written aside, flushed to disk, renamed.

    Args:
        path: The file; its folder is made when missing.
        value: What to write.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def mapping(value: Any, label: str) -> dict[str, Any]:
    """Return a copy of `value`, which must be a JSON object.

    Args:
        value: A part of a parsed document.
        label: Its name in the error.

    Raises:
        LaunchError: It is something else.
    """
    if not isinstance(value, dict):
        raise LaunchError(f"launch plan: {label} must be an object, not {value!r}")
    return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def build(cls: type[Built], values: dict[str, Any]) -> Built:
    """Make a dataclass of the values of a JSON object.

    Args:
        cls: The dataclass; its fields are `str`, `bool`, `int`, `float`, optional ones, and tuples of these.
        values: Its fields by name.

    Raises:
        LaunchError: A key is missing, unknown, or of a wrong type.
    """
    expected = {field.name: field for field in fields(cls)}  # pyright: ignore[reportArgumentType]
    unknown = sorted(values.keys() - expected.keys())
    if unknown:
        raise LaunchError(f"launch plan: unknown key {unknown[0]!r}")
    converted = {name: _convert(name, str(expected[name].type), value) for name, value in values.items()}
    required = [name for name, field in expected.items() if field.default is field.default_factory is MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise LaunchError(f"launch plan: {missing[0]} is missing")
    return cls(**converted)


def _convert(name: str, annotation: str, value: Any) -> Any:
    """Check `value` against an annotation, whose text is all that Python 3.9 can make of `X | None`."""
    if annotation.endswith(" | None"):
        return value if value is None else _convert(name, annotation[: -len(" | None")], value)
    if annotation == "dict[str, str]":
        return {key: _convert(name, "str", item) for key, item in mapping(value, name).items()}
    if annotation.startswith("tuple[") and isinstance(value, list):
        item_type = annotation[len("tuple[") :].split(",")[0]
        return tuple(_convert(name, item_type, item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    fits = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": number and float(value) == int(value),
        "float": number,
    }
    if not fits.get(annotation, not annotation.startswith("tuple[")):
        raise LaunchError(f"launch plan: {name} must be {annotation}, not {value!r}")
    return int(value) if annotation == "int" else value
