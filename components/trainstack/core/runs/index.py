"""An index over the records of all runs, so that a history of many thousands is listed at once.

It is a cache: any of it may be deleted at any time. A record that ended stays as it is until its run is submitted
again, which takes it out of the index first; every other record is read from its file each time. Which runs there are
is asked of their folder only when that has changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Generator, Iterable
from pathlib import Path

from trainstack.abbreviation import abbreviated
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.record import RunRecord
from trainstack.core.runs.store_runs import StoreRuns
from trainstack.core.workspace.origin import origin_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage.digest import RACY_NS

_LAYOUT = 2
_NOTE = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)"
_BUSY_SECONDS = 10.0


def newest(
    workspace: Workspace, statuses: Iterable[str] = (), name: str | None = None, limit: int | None = None
) -> list[RunRecord]:
    """Runs that fit, newest first; a damaged record is left out.

    Args:
        workspace: The workspace.
        statuses: Only runs of one of these; of all when empty.
        name: Only runs of this name.
        limit: At most so many.
    """
    fitting = set(statuses)
    if store := origin_of(workspace.root):
        return StoreRuns(workspace.root, store).newest(fitting, name, limit)
    try:
        with _opened(workspace) as index:
            unfinished = _refreshed(workspace, index)
            ended = _ended(index, fitting, name, limit)
    except (sqlite3.Error, OSError):
        # Damaged or not writable: the records themselves say the same, slower.
        unfinished, ended = _read(workspace, _ids(workspace)), []
    unfinished = [
        record
        for record in unfinished
        if (not fitting or record.status.value in fitting) and (name is None or record.name == name)
    ]
    return sorted([*unfinished, *ended], key=lambda record: record.created, reverse=True)[:limit]


def count(workspace: Workspace) -> int:
    """How many runs there are."""
    if store := origin_of(workspace.root):
        return StoreRuns(workspace.root, store).count()
    return len(_ids(workspace))


def resolve(workspace: Workspace, reference: str) -> RunDirectory:
    """Find a run by id, by the start of an id, or by name (then the newest).

    Raises:
        InvalidInputError: The start fits several runs.
        NotFoundError: Nothing fits.
    """
    if "/" not in reference and (exact := RunDirectory(workspace.run(reference))).exists():
        return exact
    records = newest(workspace)
    fitting = [record.id for record in records if record.id.startswith(reference)]
    if len(fitting) > 1:
        raise InvalidInputError(f"{reference!r} fits {len(fitting)} runs ({abbreviated(fitting, 4)}): give more digits")
    fitting += [record.id for record in records if record.name == reference]
    if not fitting:
        raise NotFoundError(f"no run {reference!r} in workspace {workspace.name}: see `trainstack runs list`")
    return RunDirectory(workspace.run(fitting[0]))


def forget(workspace: Workspace, run_id: str) -> None:
    """Take a run out of the index, before its record changes."""
    path = _path(workspace)
    if not path.exists():
        return
    try:
        with _opened(workspace) as index:
            index.execute(_NOTE, (run_id, None, None, None, None))
    except (sqlite3.Error, OSError):
        # An index that cannot be told must not be believed.
        path.unlink(missing_ok=True)


def _refreshed(workspace: Workspace, index: sqlite3.Connection) -> list[RunRecord]:
    """Bring the index up to date; the runs that have not ended, of which it holds no more than the id."""
    changed = _changed(workspace)
    indexed_change = index.execute("SELECT changed FROM folder").fetchone()
    if indexed_change != (changed,):
        on_disk = _ids(workspace)
        indexed = {row[0] for row in index.execute("SELECT id FROM runs")}
        index.executemany("DELETE FROM runs WHERE id = ?", [(run_id,) for run_id in indexed - on_disk])
        index.executemany(_NOTE, [(run_id, None, None, None, None) for run_id in on_disk - indexed])
        index.execute("DELETE FROM folder")
        # A run that comes in the same tick of the clock would go unseen: what is so new is looked at again.
        if time.time_ns() - changed > RACY_NS:
            index.execute("INSERT INTO folder VALUES (?)", (changed,))
    records = _read(workspace, [row[0] for row in index.execute("SELECT id FROM runs WHERE record IS NULL")])
    index.executemany(
        _NOTE,
        [
            (record.id, record.name, record.status.value, record.created, json.dumps(record.model_dump(mode="json")))
            for record in records
            if record.status.ended
        ],
    )
    return [record for record in records if not record.status.ended]


def _ended(index: sqlite3.Connection, statuses: set[str], name: str | None, limit: int | None) -> list[RunRecord]:
    clauses = ["record IS NOT NULL"]
    values: list[str | int] = []
    if statuses:
        clauses.append(f"status IN ({', '.join('?' * len(statuses))})")
        values += sorted(statuses)
    if name is not None:
        clauses.append("name = ?")
        values.append(name)
    values.append(-1 if limit is None else limit)
    which = " AND ".join(clauses)
    rows = index.execute(f"SELECT record FROM runs WHERE {which} ORDER BY created DESC LIMIT ?", values)  # noqa: S608 (our own words)
    return [RunRecord.model_validate(json.loads(row[0])) for row in rows]


def _read(workspace: Workspace, run_ids: Iterable[str]) -> list[RunRecord]:
    records: list[RunRecord] = []
    for run_id in run_ids:
        with contextlib.suppress(TrainstackError):
            records.append(RunDirectory(workspace.run(run_id)).read())
    return records


def _ids(workspace: Workspace) -> set[str]:
    with contextlib.suppress(FileNotFoundError):
        return set(os.listdir(workspace.runs))  # noqa: PTH208 (a Path each for a hundred thousand takes too long)
    return set()


def _changed(workspace: Workspace) -> int:
    """When a run came or went last, in ns; a run's own changes do not count."""
    with contextlib.suppress(FileNotFoundError):
        return workspace.runs.stat().st_mtime_ns
    return 0


@contextlib.contextmanager
def _opened(workspace: Workspace) -> Generator[sqlite3.Connection]:
    path = _path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    index = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        with index:
            if index.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
                index.execute("DROP TABLE IF EXISTS runs")
                index.execute("DROP TABLE IF EXISTS folder")
                index.execute("CREATE TABLE folder (changed INTEGER)")
                index.execute(
                    "CREATE TABLE runs (id TEXT PRIMARY KEY, name TEXT, status TEXT, created REAL, record TEXT)"
                )
                index.execute("CREATE INDEX newest ON runs (created)")
                index.execute("CREATE INDEX open ON runs (id) WHERE record IS NULL")
                index.execute("CREATE INDEX named ON runs (name, created)")
                index.execute(f"PRAGMA user_version = {_LAYOUT}")
            yield index
    finally:
        index.close()


def _path(workspace: Workspace) -> Path:
    return workspace.root / "cache" / "runs.db"
