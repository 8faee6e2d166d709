"""Reclaim what nothing in a workspace in a store points to, beside machines that register, train and push.

Whoever registers a dataset or a model has the lease `records` from its first blob to its record, and so has the
collection from the first look to the last removal: each blob is either named or its writer is dead. A run's code comes
without that lease, always anew, so that it is young: what is younger than a day stays. `trainstack workspace push`
looks again under the lease. Killed at any moment, the next collection goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from trainstack.core.maintenance.store_references import needed_digests
from trainstack.core.runs import store_index
from trainstack.core.workspace.layout import FOLDERS, RECORDS_LEASE
from trainstack.storage import lease
from trainstack.storage.lease import Lease
from trainstack.storage.store import Item, Store, blob_digest

GRACE_SECONDS = 24 * 3600.0
"""How old what is removed must be, by the store's own clock."""
_BATCH = 1000


@dataclass(frozen=True)
class StoreGarbage:
    """Objects that can be removed.

    Attributes:
        kind: `blob`: no record points to it. `rest`: files of a run that has no record: the rest of a purge, or of a
            push that was killed. `index`: a segment of the index of runs that does not count.
        key: The object.
        size: Its bytes.
    """

    kind: str
    key: str
    size: int


def find(store: Store, root: Path, grace: float = GRACE_SECONDS) -> list[StoreGarbage]:
    """List what could be reclaimed now.

    Args:
        store: The store.
        root: The folder of this machine's copy, which remembers what it has read.
        grace: Seconds; what is younger is left out.

    Raises:
        TrainstackError: A record is damaged, so it is not known what it points to; or the store does not answer.
    """
    blobs = list(store.list(FOLDERS[0]))
    items = [item for folder in FOLDERS[1:] for item in store.list(folder)]
    index = list(store.list(store_index.INDEX))
    # Blobs are listed before the records that are read: one that is named meanwhile is not there yet, or is named.
    needed = needed_digests(store, items, root)
    oldest = _now(store) - grace
    garbage = [
        StoreGarbage("blob", item.key, item.size)
        for item in blobs
        if item.modified < oldest and blob_digest(item.key) not in needed
    ]
    garbage += [StoreGarbage("rest", item.key, item.size) for item in _rests(items, oldest)]
    return garbage + [StoreGarbage("index", item.key, item.size) for item in _uncounted(store, index, oldest)]


def collect(
    store: Store, root: Path, progress: Callable[[str], None] = lambda _: None, grace: float = GRACE_SECONDS
) -> list[StoreGarbage]:
    """Remove what nothing needs, once no registration is under way on any machine; they wait meanwhile.

    Args:
        store: The store.
        root: The folder of this machine's copy.
        progress: Called with what it waits for.
        grace: Seconds; what is younger is left alone.

    Returns:
        What was removed.

    Raises:
        TrainstackError: A record is damaged; nothing was removed. Or the lease was lost; what was removed stays so.
    """
    with lease.taken(
        store, RECORDS_LEASE, "trainstack gc", on_wait=lambda other: progress(f"waiting for {other}")
    ) as right:
        garbage = find(store, root, grace)
        remove(store, [item.key for item in garbage], right)
        store_index.compact(store)
    return garbage


def remove(store: Store, keys: list[str], right: Lease) -> None:
    """Remove objects while a lease lasts.

    Raises:
        LeaseLostError: Another process has taken it over; some are removed.
    """
    for start in range(0, len(keys), _BATCH):
        right.require()
        store.delete_all(keys[start : start + _BATCH])


def _now(store: Store) -> float:
    """The store's own time: that of a record that is written for it."""
    key = "locks/clock"
    store.delete(key)
    store.create(key, b"")
    return max(item.modified for item in store.list("locks") if item.key == key)


def _rests(items: Iterable[Item], oldest: float) -> list[Item]:
    units: dict[str, list[Item]] = {}
    for item in items:
        if item.key.startswith("runs/"):
            units.setdefault(item.key.split("/")[1], []).append(item)
    return [
        item
        for unit in units.values()
        if not any(store_index.run_of(item.key) or item.modified >= oldest for item in unit)
        for item in unit
    ]


def _uncounted(store: Store, index: Iterable[Item], oldest: float) -> list[Item]:
    try:
        counting = {store_index.segment_key(name) for name, _ in store_index.segments(store)}
    except FileNotFoundError:
        return []
    prefix = f"{store_index.INDEX}/segments/"
    return [
        item for item in index if item.key.startswith(prefix) and item.key not in counting and item.modified < oldest
    ]
