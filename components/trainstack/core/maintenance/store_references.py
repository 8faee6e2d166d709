"""What the records in a store point to: each is read once, and again when it has another version."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from trainstack.core.workspace.layout import is_record
from trainstack.core.workspace.record_references import references
from trainstack.storage.store import Item, Store

_AT_ONCE = 16


def needed_digests(store: Store, items: Iterable[Item], root: Path) -> set[str]:
    """Return the digests that any record names.

    Args:
        store: The store.
        items: What it has, as listed.
        root: The folder of this machine's copy, which remembers.

    Raises:
        TrainstackError: A record is damaged, so it is not known what it points to; or the store does not answer.
    """
    records = {item.key: item.version for item in items if is_record(item.key)}
    path = root / "cache" / "store-references.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, timeout=10.0)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, version TEXT, digests TEXT)")
        known = {row[0]: (row[1], row[2]) for row in database.execute("SELECT key, version, digests FROM records")}
        gone = known.keys() - records.keys()
        database.executemany("DELETE FROM records WHERE key = ?", [(key,) for key in gone])
        unread = [key for key, version in records.items() if known.get(key, ("", ""))[0] != version]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            read = [row for row in pool.map(partial(_read, store), unread) if row is not None]
        database.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", read)
        return {digest for (text,) in database.execute("SELECT digests FROM records") for digest in text.split()}


def _read(store: Store, key: str) -> tuple[str, str, str] | None:
    try:
        entry = store.get(key)
    except FileNotFoundError:
        return None
    digests = {reference.digest for reference in references(key, entry.data)}
    return key, entry.version, " ".join(sorted(digests))
