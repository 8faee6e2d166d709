"""The record that says what workspace a store has, and how much it may hold."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import Any

from trainstack.core.workspace.layout import LAYOUT, MARKER
from trainstack.errors import TrainstackError
from trainstack.storage.store import Store, VersionConflictError


@dataclass(frozen=True)
class Marker:
    """What a store says of its workspace.

    Attributes:
        name: The workspace's name.
        quota: How many bytes it may hold; None for no limit.
    """

    name: str
    quota: int | None = None

    def encoded(self) -> bytes:
        """Return it as the store has it."""
        limit = {} if self.quota is None else {"quota": self.quota}
        return (json.dumps({"layout": LAYOUT, "name": self.name, **limit}, indent=2) + "\n").encode()


def marker_in(store: Store) -> Marker | None:
    """Return what a store says of its workspace; None where it has none.

    Raises:
        TrainstackError: It was made by a newer Trainstack, or is damaged.
    """
    try:
        return _decoded(store, store.get(MARKER).data)
    except FileNotFoundError:
        return None


def limit(store: Store, quota: int | None) -> None:
    """Set how much the workspace in a store may hold, for every machine.

    Args:
        store: The store, which has a workspace.
        quota: Bytes; None for no limit.
    """
    while True:
        entry = store.get(MARKER)
        changed = replace(_decoded(store, entry.data), quota=quota)
        with contextlib.suppress(VersionConflictError):
            store.replace(MARKER, changed.encoded(), entry.version)
            return


def _decoded(store: Store, data: bytes) -> Marker:
    try:
        marker: Any = json.loads(data)
    except ValueError as exc:
        raise TrainstackError(f"{store.address}: {MARKER} is damaged: restore it") from exc
    if marker["layout"] != LAYOUT:
        raise TrainstackError(
            f"{store.address} has layout {marker['layout']}, this Trainstack knows {LAYOUT}: upgrade it"
        )
    return Marker(str(marker["name"]), marker.get("quota"))
