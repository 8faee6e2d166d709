"""A segment of the index of a store's runs: a compressed SQLite database, whose indexes a reader takes over as well.

Rows that are packed as text cost whoever lists for the first time seconds a hundred thousand, to parse and to sort them
in again; a database is copied as it is.
"""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
import zlib
from collections.abc import Generator, Iterable, Sequence

from trainstack.errors import TrainstackError

TABLE = (
    "CREATE TABLE runs (id TEXT PRIMARY KEY, version TEXT, name TEXT, status TEXT, created REAL, record TEXT) "
    "WITHOUT ROWID"
)
INDEXES = {
    "newest": "CREATE INDEX newest ON runs (created, status)",
    "named": "CREATE INDEX named ON runs (name, created, status)",
}
PUT = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)"
"""Takes the columns of a row; one without a record says that the run is gone."""
# What is written again and again should not cost its writers more than it spares its readers.
_COMPRESSION = 1
_MAGIC = b"SQLite format 3\0"


def merged(segments: Sequence[bytes], rows: Iterable[list[str]] = ()) -> sqlite3.Connection:
    """Open segments as one database in memory.

    Args:
        segments: Packed segments, the oldest first: of two rows of a run the later one counts.
        rows: Columns of rows that are later still.

    Returns:
        A connection to a database with the table `runs`, which the caller closes.

    Raises:
        TrainstackError: A segment is damaged.
    """
    database = sqlite3.connect(":memory:", isolation_level=None)
    if segments:
        database.deserialize(_unpacked(segments[0]))
        _check(database, "main")
    else:
        for statement in (TABLE, *INDEXES.values()):
            database.execute(statement)
    for segment in segments[1:]:
        with attached(database, _unpacked(segment)) as name:
            database.execute(f"INSERT OR REPLACE INTO main.runs SELECT * FROM {name}.runs")  # noqa: S608 (our own word)
    # Together: a statement of its own each would be a transaction each. In order: the table is sorted by id.
    database.execute("BEGIN")
    database.executemany(PUT, sorted(rows))
    database.execute("COMMIT")
    return database


def packed(database: sqlite3.Connection) -> bytes:
    """Return a segment with the rows of a database that `merged` gave."""
    return gzip.compress(database.serialize(), _COMPRESSION)


@contextlib.contextmanager
def attached(database: sqlite3.Connection, content: bytes) -> Generator[str]:
    """Have a serialized database beside another one, outside of any transaction.

    Args:
        database: The connection.
        content: The other database.

    Yields:
        The name under which its tables are found.
    """
    database.execute("ATTACH ':memory:' AS other")
    try:
        database.deserialize(content, name="other")
        _check(database, "other")
        yield "other"
    finally:
        database.execute("DETACH other")


def _unpacked(segment: bytes) -> bytes:
    with contextlib.suppress(OSError, EOFError, zlib.error):
        content = gzip.decompress(segment)
        if content.startswith(_MAGIC):
            return content
    raise TrainstackError("a segment of the index of runs is damaged")


def _check(database: sqlite3.Connection, name: str) -> None:
    """Take nothing but the table and its indexes: triggers and views would be somebody else's program."""
    try:
        found = {row[0] for row in database.execute(f"SELECT sql FROM {name}.sqlite_schema")}  # noqa: S608 (our own word)
    except sqlite3.DatabaseError as exc:
        raise TrainstackError("a segment of the index of runs is damaged") from exc
    if found != {TABLE, *INDEXES.values()}:
        raise TrainstackError("a segment of the index of runs has another layout")
