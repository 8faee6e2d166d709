"""The index of a store's runs: what a list of many needs, in a few objects, so that nobody reads each run's record.

    index/runs/manifest.json          which segments count, the oldest first; replaced by compare-and-swap
    index/runs/segments/NAME          rows of many runs that have ended; never changed
    index/runs/open/ID/NONCE          written before a run's record changes: read the record itself
    index/runs/ended/ID/VERSION       written after a run has ended with this version of its record

It follows from the records, and is made anew where it is missing. `open/` is there before a record changes, and goes
after `ended/` is there: killed in between, a writer leaves a mark that costs its readers a request, and nothing wrong.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from trainstack.core.runs import segment
from trainstack.core.runs.record import RunRecord
from trainstack.storage import digest as digests
from trainstack.storage.store import Entry, Item, Store, VersionConflictError

INDEX = "index/runs"
MANIFEST = f"{INDEX}/manifest.json"
GONE = "gone"
"""The version of a record that was removed."""
_HEAD = re.compile(r"runs/([^/]+)/run\.json")
_AT_ONCE = 16
_NOT_LISTED = {"outputs", "failure", "supervisor", "resumed"}


@dataclass(frozen=True)
class Row:
    """A run in the index.

    Attributes:
        run_id: The run.
        version: Of its record, by `short_version`.
        record: The record without what lists do not show; None for one that is gone.
    """

    run_id: str
    version: str
    record: RunRecord | None


@dataclass(frozen=True)
class Listing:
    """What one listing of the index says.

    Attributes:
        manifest: The manifest's version; empty where there is no index.
        open: Runs whose record may change.
        ended: Versions by run of those that have ended since the last segment.
    """

    manifest: str
    open: dict[str, list[str]]
    ended: dict[str, list[str]]


def run_of(key: str) -> str:
    """Return the run whose record a key names; empty for another key."""
    match = _HEAD.fullmatch(key)
    return match[1] if match else ""


def short_version(version: str) -> str:
    """Return a record's version as it stands in a key."""
    return digests.of_bytes(version.encode())[:16]


def open_mark(run_id: str, nonce: str) -> str:
    """Return the key that says that a run's record may change."""
    return f"{INDEX}/open/{run_id}/{nonce}"


def ended_mark(run_id: str, version: str) -> str:
    """Return the key that says that a run has ended."""
    return f"{INDEX}/ended/{run_id}/{version}"


def look(store: Store) -> Listing:
    """List the index."""
    return _listing(store.list(INDEX))


def _listing(items: Iterable[Item]) -> Listing:
    manifest = ""
    marks: dict[str, dict[str, list[str]]] = {"open": {}, "ended": {}}
    for item in items:
        if item.key == MANIFEST:
            manifest = item.version
        match item.key.removeprefix(f"{INDEX}/").split("/"):
            case [("open" | "ended") as kind, run_id, name]:
                marks[kind].setdefault(run_id, []).append(name)
            case _:
                continue
    return Listing(manifest, marks["open"], marks["ended"])


def segments(store: Store) -> list[tuple[str, int]]:
    """Return the segments that count, the oldest first, each with the number of its rows.

    Raises:
        FileNotFoundError: There is no index.
    """
    return [(name, rows) for name, rows in json.loads(store.get(MANIFEST).data)["segments"]]


def segment_key(name: str) -> str:
    """Return the key of a segment."""
    return f"{INDEX}/segments/{name}"


def read_segments(store: Store, names: Iterable[str]) -> list[bytes]:
    """Read segments, see `segment`.

    Raises:
        FileNotFoundError: One is not there any more: read the manifest again.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [entry.data for entry in pool.map(store.get, map(segment_key, names))]


def read_rows(store: Store, run_ids: Iterable[str]) -> list[Row]:
    """Read the records of runs; of one that is damaged nothing is known, and it has no row."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows = pool.map(partial(_row, store), run_ids)
        return [row for row in rows if row is not None]


def columns(row: Row) -> list[str]:
    """Return a row as a segment has it."""
    record = row.record
    if record is None:
        return [row.run_id, row.version, "", "", "0", ""]
    listed: Any = record.model_dump(mode="json", exclude=_NOT_LISTED, exclude_defaults=True)
    text = json.dumps(listed, separators=(",", ":"))
    return [row.run_id, row.version, encoded_name(record.name), record.status.value, repr(record.created), text]


def encoded_name(name: str) -> str:
    """Return a run's name as its column has it, without tabs and line ends."""
    return json.dumps(name)[1:-1]


def compact(store: Store, most: int = 0) -> bool:
    """Move what has ended into a segment, unless there is little of it or another machine does so just now.

    Args:
        store: The store.
        most: How many runs may stay outside segments.

    Returns:
        Whether it did.
    """
    try:
        # First: a machine that moves something from here on has replaced it.
        manifest = store.get(MANIFEST)
    except FileNotFoundError:
        return rebuild(store)
    listed = look(store)
    settled = {run_id: marks for run_id, marks in listed.ended.items() if run_id not in listed.open}
    if len(settled) <= most:
        return False
    rows = [row for row in read_rows(store, settled) if row.record is None or row.record.status.ended]
    # A record of another version than its only mark names has been changed since: it has a mark of its own.
    rows = [row for row in rows if row.version in settled[row.run_id]]
    if not append(store, rows, manifest):
        return False
    for row in rows:
        for version in settled[row.run_id]:
            store.delete(ended_mark(row.run_id, version))
    return True


def append(store: Store, rows: Iterable[Row], manifest: Entry) -> bool:
    """Write rows into a segment, unless another machine has changed what counts since the manifest was read."""
    return _put(store, [columns(row) for row in rows], manifest.version, json.loads(manifest.data)["segments"])


def rebuild(store: Store) -> bool:
    """Make the index from the records, where it is missing; return whether this machine did."""
    run_ids = [run_id for item in store.list("runs") if (run_id := run_of(item.key))]
    rows = read_rows(store, run_ids)
    for row in rows:
        if row.record is not None and not row.record.status.ended:
            with contextlib.suppress(FileExistsError):
                store.create(open_mark(row.run_id, "rebuilt"), b"")
    return _put(store, [columns(row) for row in rows if row.record and row.record.status.ended], None, [])


def _put(store: Store, added: list[list[str]], version: str | None, counting: Sequence[tuple[str, int]]) -> bool:
    """Write a segment and make it count, merged with those before it that are not twice as large."""
    kept, old, many = list(counting), list[str](), len(added)
    while kept and kept[-1][1] < 2 * many:
        name, count = kept.pop()
        old.insert(0, name)
        many += count
    try:
        segments = read_segments(store, old)
    except FileNotFoundError:
        # Another machine has merged it meanwhile.
        return False
    name = secrets.token_hex(8)
    with contextlib.closing(segment.merged(segments, added)) as rows:
        if not kept:
            rows.execute("DELETE FROM runs WHERE record = ''")
        (many,) = rows.execute("SELECT count(*) FROM runs").fetchone()
        if many:
            store.create(segment_key(name), segment.packed(rows))
            kept.append((name, many))
    manifest = json.dumps({"segments": kept}).encode()
    try:
        if version is None:
            store.create(MANIFEST, manifest)
        else:
            store.replace(MANIFEST, manifest, version)
    except (FileExistsError, VersionConflictError):
        store.delete(segment_key(name))
        return False
    store.delete_all(map(segment_key, old))
    return True


def _row(store: Store, run_id: str) -> Row | None:
    try:
        entry = store.get(f"runs/{run_id}/run.json")
        return Row(run_id, short_version(entry.version), RunRecord.model_validate_json(entry.data))
    except FileNotFoundError:
        return Row(run_id, GONE, None)
    except ValidationError:
        return None
