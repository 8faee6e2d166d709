"""Parts of the API server's objects, which are JSON: absent and empty are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def part(thing: Mapping[str, Any] | None, *path: str) -> dict[str, Any]:
    """The object below some keys; empty where there is none."""
    found = dict(thing or {})
    for key in path:
        found = cast("dict[str, Any]", found.get(key) or {})
    return found


def parts(thing: Mapping[str, Any] | None, *path: str) -> list[dict[str, Any]]:
    """The list of objects below some keys; empty where there is none."""
    return cast("list[dict[str, Any]]", part(thing, *path[:-1]).get(path[-1]) or [])
