"""Curated environments: tested combinations of packages, locked with hashes and shipped with this package.

Each is a folder here: `environment.json` specifies it, `requirements.lock` pins it. `python -m
trainstack.core.environments.curated` locks them again. `docs/contributing/add-a-curated-environment.md` explains how to
add one.
"""

from __future__ import annotations

import difflib
import functools
import json
from typing import Any, cast

from trainstack.core.environments.curated_names import CURATED_PREFIX, FOLDER, curated_names
from trainstack.core.environments.spec import EnvironmentSpec
from trainstack.errors import InvalidInputError


def get_curated(name: str) -> EnvironmentSpec:
    """Return a curated environment.

    Args:
        name: Its name, with or without the prefix `trainstack-`.

    Raises:
        InvalidInputError: There is none of that name; the message lists close ones.
    """
    short = name.removeprefix(CURATED_PREFIX)
    names = [full_name.removeprefix(CURATED_PREFIX) for full_name in curated_names()]
    if short not in names:
        close = difflib.get_close_matches(short, names, n=3, cutoff=0.5) or names
        raise InvalidInputError(
            f"there is no curated environment {name!r}: did you mean "
            f"{' or '.join(CURATED_PREFIX + match for match in close)}?",
            field="name",
        )
    return _read_curated(short)


@functools.cache
def _read_curated(short: str) -> EnvironmentSpec:
    """Read one without validation: it was validated when it was locked, and every preview reads it."""
    values = read_specification(short)
    packages = tuple(sorted(map(str, cast("list[str]", values.pop("packages")))))
    text = (FOLDER / short / "requirements.lock").read_text("utf-8")
    return EnvironmentSpec.model_construct(None, **{**values, "packages": packages, "lock": text})


def read_specification(short: str) -> dict[str, Any]:
    """Return the fields of a curated environment's `EnvironmentSpec`, without its lock."""
    full_name = CURATED_PREFIX + short
    specification = json.loads((FOLDER / short / "environment.json").read_bytes())
    return {"name": full_name, "curated": full_name, **specification}
