"""This machine's copy of the index of a store's runs (`store_index`), in SQLite, so that a list of any filter is quick.

It is a cache. A look at the store, one listing, says which segments are new and which runs are to be read themselves:
those that go on, and those that have ended since the last segment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Collection, Generator, Mapping
from itertools import takewhile
from pathlib import Path

from trainstack.core.runs import segment, store_index
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.runs.store_index import Listing
from trainstack.errors import TrainstackError
from trainstack.storage import lease
from trainstack.storage.store import Store

_LAYOUT = 2
_BUSY_SECONDS = 10.0
_LOOKS = 5
# Marks of one ended run may name several versions; only its record tells which one it is.
_UNREAD = """
SELECT DISTINCT marks.id FROM marks LEFT JOIN runs ON runs.id = marks.id
WHERE marks.version = '' OR runs.version IS NULL OR runs.version != marks.version
"""


class StoreRuns:
    """The runs of a workspace in a store, as this machine saw them last."""

    def __init__(self, root: Path, store: Store) -> None:
        """Use a copy of a workspace.

        Args:
            root: The copy's folder.
            store: The store.
        """
        self._root, self._store = root, store
        self._path = root / "cache" / "store-runs.db"

    def look(self) -> None:
        """Take over what is new in the store's index; makes the index where there is none.

        Raises:
            TrainstackError: The store refuses or does not answer, or its index lacks a part.
        """
        for _ in range(_LOOKS):
            marked = store_index.look(self._store)
            if not marked.manifest:
                store_index.rebuild(self._store)
                continue
            # A segment that was merged into another one meanwhile is gone.
            with contextlib.suppress(FileNotFoundError), self._opened() as database:
                facts = dict(database.execute("SELECT key, value FROM facts"))
                if facts.get("manifest") == marked.manifest:
                    _mark(database, marked)
                else:
                    self._load(database, marked, json.loads(facts.get("segments", "[]")))
                return
        raise TrainstackError(
            f"{self._store.address}: the index of its runs is damaged: remove {store_index.INDEX}/, it is made anew"
        )

    def newest(self, statuses: Collection[str], name: str | None, limit: int | None) -> list[RunRecord]:
        """Runs that fit, newest first, without their outputs; see `index.newest`."""
        with self._opened() as database:
            unfinished = self._read_marked(database)
            clauses, values = ["1"], list[str | int]()
            if statuses:
                clauses.append(f"status IN ({', '.join('?' * len(statuses))})")
                values += sorted(statuses)
            if name is not None:
                clauses.append("name = ?")
                values.append(store_index.encoded_name(name))
            # One that has ended and goes on again is among those that are read.
            values.append(-1 if limit is None else limit + len(unfinished))
            which = " AND ".join(clauses)
            rows = database.execute(f"SELECT record FROM runs WHERE {which} ORDER BY created DESC LIMIT ?", values)  # noqa: S608 (our own words)
            ended = [RunRecord.model_validate_json(row[0]) for row in rows]
        records = {record.id: record for record in ended}
        for record in unfinished:
            records.pop(record.id, None)
            if (not statuses or record.status.value in statuses) and name in (None, record.name):
                records[record.id] = record
        return sorted(records.values(), key=lambda record: record.created, reverse=True)[:limit]

    def count(self) -> int:
        """How many runs there are."""
        with self._opened() as database:
            row = database.execute("SELECT count(*) FROM (SELECT id FROM runs UNION SELECT id FROM marks)").fetchone()
            return int(row[0])

    def versions(self) -> dict[str, str]:
        """Return the version of each run's record, by id; an empty one where the run may go on."""
        with self._opened() as database:
            versions = dict(database.execute("SELECT id, version FROM runs"))
            # Several marks of one run: which of them is its version only its record says.
            versions |= dict(database.execute("SELECT id, group_concat(version, ' ') FROM marks GROUP BY id"))
            versions |= dict(database.execute("SELECT id, '' FROM marks WHERE version = ''"))
            return versions

    def changed(self, versions: Mapping[str, str]) -> set[str]:
        """Return the runs whose record may be another one than the version that this machine has of it."""
        changed: set[str] = set()
        with self._opened() as database:
            for run_id, version in versions.items():
                rows = database.execute("SELECT version FROM marks WHERE id = ?", (run_id,)).fetchall()
                # What has no mark is as the last segment has it.
                rows = rows or database.execute("SELECT version FROM runs WHERE id = ?", (run_id,)).fetchall()
                if {row[0] for row in rows} != {store_index.short_version(version)}:
                    changed.add(run_id)
        return changed

    def _load(self, database: sqlite3.Connection, marked: Listing, loaded: list[str]) -> None:
        """Take over the segments that are not loaded yet."""
        names = [name for name, _ in store_index.segments(self._store)]
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(names, loaded, strict=False)))
        with contextlib.closing(segment.merged(store_index.read_segments(self._store, names[common:]))) as rows:
            if not common:
                # Runs that are gone are not named any more in a segment that has everything.
                rows.execute("DELETE FROM runs WHERE record = ''")
            content = rows.serialize()
        # Readers beside this one see all of it or nothing; a database can be detached when that is written.
        with segment.attached(database, content) as new, database:
            if not common:
                database.execute("DELETE FROM main.runs")
            # SQLite copies rows without a look at them into an empty table that is declared alike, if it may.
            verb = "INSERT OR REPLACE" if common else "INSERT"
            database.execute(f"{verb} INTO main.runs SELECT * FROM {new}.runs")  # noqa: S608 (our own words)
            database.execute("DELETE FROM main.runs WHERE record = ''")
            facts = {"manifest": marked.manifest, "segments": json.dumps(names)}
            database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
            _mark(database, marked)

    def _read_marked(self, database: sqlite3.Connection) -> list[RunRecord]:
        """Read the runs that have to be read; what has ended is known from now on. Returns the others."""
        marked = {row[0] for row in database.execute(_UNREAD)}
        local = self._only_here(database) - marked
        open_runs = {row[0] for row in database.execute("SELECT id FROM marks WHERE version = ''")}
        unfinished: list[RunRecord] = []
        for row in store_index.read_rows(self._store, marked):
            if row.record is None:
                database.execute("DELETE FROM runs WHERE id = ?", (row.run_id,))
            elif row.record.status.ended and row.run_id not in open_runs:
                database.execute(segment.PUT, store_index.columns(row))
            else:
                unfinished.append(self._as_it_is(row.record))
        for run_id in local:
            with contextlib.suppress(TrainstackError):
                unfinished.append(RunDirectory(self._root / "runs" / run_id).read())
        return unfinished

    def _only_here(self, database: sqlite3.Connection) -> set[str]:
        """Runs that this machine has begun just now, and that are not in the store yet."""
        run_ids: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            run_ids = os.listdir(self._root / "runs")  # noqa: PTH208 (quicker than a Path each)
        of_store = "SELECT 1 FROM runs WHERE id = ? UNION SELECT 1 FROM marks WHERE id = ?"
        unknown = [run_id for run_id in run_ids if not database.execute(of_store, (run_id, run_id)).fetchone()]
        return {run_id for run_id in unknown if (self._root / "runs" / run_id / "run.json").is_file()}

    def _as_it_is(self, record: RunRecord) -> RunRecord:
        """A run's record with what only its driver knows: that it goes on, or that nobody drives it any more."""
        directory = RunDirectory(self._root / "runs" / record.id)
        if directory.has_supervisor():
            return directory.read()
        if not record.status.ended and record.attempt > 0 and not lease.owner_of(self._store, f"runs/{record.id}"):
            record.reason = f"nobody drives it any more; it was {record.status.value}"
            record.status = Status.INTERRUPTED
        return record

    @contextlib.contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
        try:
            with database:
                self._lay_out(database)
                yield database
        finally:
            database.close()

    def _lay_out(self, database: sqlite3.Connection) -> None:
        if database.execute("PRAGMA user_version").fetchone()[0] == _LAYOUT:
            return
        # All of it can be had again: no need to wait for the disk, or to read what an older version has left.
        for statement in (
            "PRAGMA synchronous = OFF",
            *(f"DROP TABLE IF EXISTS {name}" for name in ("facts", "marks", "runs")),
            "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT)",
            "CREATE TABLE marks (id TEXT, version TEXT)",
            "CREATE INDEX marked ON marks (id)",
            segment.TABLE,
            *segment.INDEXES.values(),
            f"PRAGMA user_version = {_LAYOUT}",
        ):
            database.execute(statement)


def _mark(database: sqlite3.Connection, listed: Listing) -> None:
    """Keep which runs are to be read themselves."""
    database.execute("DELETE FROM marks")
    marks = [(run_id, version) for run_id, versions in listed.ended.items() for version in versions]
    marks += [(run_id, "") for run_id in listed.open]
    database.executemany("INSERT INTO marks VALUES (?, ?)", marks)
