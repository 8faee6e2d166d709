"""What a store says of its workspace, read and written for every machine."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

from trainstack.core.workspace.layout import MARKER
from trainstack.core.workspace.marker import Marker
from trainstack.errors import TrainstackError
from trainstack.storage.store import Store, VersionConflictError


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
            store.replace(MARKER, encoded(changed), entry.version)
            return


def encoded(marker: Marker) -> bytes:
    """Return the record as a store has it."""
    return (json.dumps(marker.document, indent=2) + "\n").encode()


def _decoded(store: Store, data: bytes) -> Marker:
    try:
        document: Any = json.loads(data)
    except ValueError as exc:
        raise TrainstackError(f"{store.address}: {MARKER} is damaged: restore it") from exc
    return Marker.parsed(document, store.address)
