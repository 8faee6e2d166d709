"""JSON documents between supervisor and agents: checked against a dataclass when read, written whole."""

from __future__ import annotations

import json
import math
import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

Built = TypeVar("Built")


class LaunchError(Exception):
    """Something that keeps a launch from starting or going on; its text is one line for people."""


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


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a copy of `value`, which must be a JSON object.

    Args:
        value: A part of a parsed document.
        what: What it is called in the error.

    Raises:
        LaunchError: It is something else.
    """
    if not isinstance(value, dict):
        raise LaunchError(f"launch plan: {what} must be an object, not {value!r}")
    return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def build(cls: type[Built], values: dict[str, Any]) -> Built:
    """Make a dataclass of the values of a JSON object.

    Args:
        cls: The dataclass; its fields are `str`, `bool`, `int`, `float`, optional ones, and tuples of these.
        values: Its fields by name.

    Raises:
        LaunchError: A key is missing, unknown, or of a wrong type.
    """
    known = {field.name: field for field in fields(cls)}  # pyright: ignore[reportArgumentType]
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise LaunchError(f"launch plan: unknown key {unknown[0]!r}")
    converted = {name: _convert(name, str(known[name].type), value) for name, value in values.items()}
    required = [name for name, field in known.items() if field.default is field.default_factory is MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise LaunchError(f"launch plan: {missing[0]} is missing")
    return cls(**converted)


def _convert(name: str, wanted: str, value: Any) -> Any:
    """Check `value` against an annotation, whose text is all that Python 3.9 can make of `X | None`."""
    if wanted.endswith(" | None"):
        return value if value is None else _convert(name, wanted[: -len(" | None")], value)
    if wanted == "dict[str, str]":
        return {key: _convert(name, "str", each) for key, each in mapping(value, name).items()}
    if wanted.startswith("tuple[") and isinstance(value, list):
        item = wanted[len("tuple[") :].split(",")[0]
        return tuple(_convert(name, item, each) for each in value)  # pyright: ignore[reportUnknownVariableType]
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    fits = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": number and float(value) == int(value),
        "float": number,
    }
    if not fits.get(wanted, not wanted.startswith("tuple[")):
        raise LaunchError(f"launch plan: {name} must be {wanted}, not {value!r}")
    return int(value) if wanted == "int" else value
