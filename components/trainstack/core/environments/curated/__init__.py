"""Curated environments: tried together, locked with hashes, shipped with the package.

Each is a folder here: `environment.json` says what it is, `requirements.lock` pins it. `python -m
trainstack.core.environments.curated` locks them anew.
"""

from __future__ import annotations

import difflib
import functools
import json
from pathlib import Path
from typing import Any, cast

from trainstack.core.environments.spec import CURATED_PREFIX, EnvironmentSpec
from trainstack.errors import InvalidInputError

FOLDER = Path(__file__).parent


def curated_names() -> list[str]:
    """Return the full names of the curated environments, sorted."""
    return sorted(CURATED_PREFIX + path.parent.name for path in FOLDER.glob("*/environment.json"))


def get_curated(name: str) -> EnvironmentSpec:
    """Return a curated environment.

    Args:
        name: Its name, with or without the prefix `trainstack-`.

    Raises:
        InvalidInputError: There is none of that name; the message lists close ones.
    """
    short = name.removeprefix(CURATED_PREFIX)
    known = [found.removeprefix(CURATED_PREFIX) for found in curated_names()]
    if short not in known:
        close = difflib.get_close_matches(short, known, n=3, cutoff=0.5) or known
        raise InvalidInputError(
            f"there is no curated environment {name!r}: did you mean "
            f"{' or '.join(CURATED_PREFIX + found for found in close)}?",
            field="name",
        )
    return _read_curated(short)


@functools.cache
def _read_curated(short: str) -> EnvironmentSpec:
    """Read one without checking it: what is shipped was checked when it was locked, and every preview reads it."""
    values = read_specification(short)
    packages = tuple(sorted(map(str, cast("list[str]", values.pop("packages")))))
    text = (FOLDER / short / "requirements.lock").read_text("utf-8")
    return EnvironmentSpec.model_construct(None, **{**values, "packages": packages, "lock": text})


def read_specification(short: str) -> dict[str, Any]:
    """Return what a curated environment asks for, as `EnvironmentSpec` takes it, without its lock."""
    named = CURATED_PREFIX + short
    found = json.loads((FOLDER / short / "environment.json").read_bytes())
    return {"name": named, "curated": named, **found}
