"""What Kubernetes takes and gives is JSON; absent and empty are alike in it.

The API describes its form: https://kubernetes.io/docs/reference/kubernetes-api.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

Manifest = dict[str, Any]
"""An object of the cluster, or a part of one."""


def part(document: Mapping[str, Any] | None, *path: str) -> Manifest:
    """The object below some keys; empty where there is none."""
    value = dict(document or {})
    for key in path:
        value = cast("Manifest", value.get(key) or {})
    return value


def parts(document: Mapping[str, Any] | None, *path: str) -> list[Manifest]:
    """The list of objects below some keys; empty where there is none."""
    return cast("list[Manifest]", part(document, *path[:-1]).get(path[-1]) or [])
