"""Aliases of a model's versions, such as `production`: moved at any time, each move kept in a history."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainstack.core.models import model
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.queue import MODEL_PREFIX, enqueue
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.storage import locks
from trainstack.storage.atomic import disk_errors, read_json, write_json

LATEST = "latest"
"""Stands for the version that is registered with the alias."""
_FILE, _HISTORY = "aliases.json", "aliases.jsonl"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
# MLflow takes `v1` for a version, and has a meaning of its own for this name.
_RESERVED = re.compile(r"v\d+|latest", re.IGNORECASE)


def validated(requested: Mapping[str, Any]) -> dict[str, int | str]:
    """Return aliases in the form in which they are kept.

    Args:
        requested: Alias to version, a number from 1 or `latest`.

    Raises:
        InvalidInputError: A name or a version cannot be; says which.
    """
    versions: dict[str, int | str] = {}
    for name, version in requested.items():
        if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
            raise InvalidInputError(
                f"alias {name!r} is not usable: take letters, digits, '_' or '-', the first a letter, and no 'latest' "
                "or 'v1'",
                field="alias",
            )
        if version == LATEST:
            versions[name] = LATEST
        elif isinstance(version, int | float) and version >= 1 and version == int(version):
            versions[name] = int(version)
        else:
            raise InvalidInputError(f"alias {name}: {version!r} is no version: a number or 'latest'", field="alias")
    return versions


def read(workspace: Workspace, name: str) -> dict[str, int]:
    """The version of each alias of a model."""
    with contextlib.suppress(FileNotFoundError):
        return {alias: int(version) for alias, version in read_json(workspace.model(name) / _FILE).items()}
    return {}


def move(workspace: Workspace, name: str, targets: Mapping[str, int], olds: Mapping[str, Any] | None = None) -> None:
    """Set aliases of a model to versions.

    Args:
        workspace: The workspace.
        name: The model's name.
        targets: Alias to version.
        olds: The aliases that the caller set before; those that are not among the targets are removed.

    Raises:
        NotFoundError: A version does not exist; nothing moves then.
    """
    for version in targets.values():
        model.find(workspace, name, version)
    folder = workspace.model(name)
    with locks.exclusive(folder / ".lock"):
        before = read(workspace, name)
        after = {alias: version for alias, version in before.items() if alias in targets or alias not in (olds or {})}
        after.update(targets)
        if after == before and not targets:
            return
        if after != before:
            _append_history(folder / _HISTORY, before, after)
            write_json(folder / _FILE, after)
    # Also where nothing moves: somebody may have moved one on the server.
    enqueue(workspace, f"{MODEL_PREFIX}{name}")
    tracking_server.start_in_background(workspace)


def read_history(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """Every move of an alias, oldest first: `time`, `alias`, `from`, `to`."""
    moves: list[dict[str, Any]] = []
    with contextlib.suppress(FileNotFoundError):
        for line in (workspace.model(name) / _HISTORY).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                moves.append(json.loads(line))
    return moves


def _append_history(path: Path, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [
        json.dumps({"time": time, "alias": alias, "from": before.get(alias), "to": after.get(alias)})
        for alias in sorted({*before, *after})
        if before.get(alias) != after.get(alias)
    ]
    with disk_errors(path), path.open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
