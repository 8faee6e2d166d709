"""A workspace's store that keeps the index of its runs true with each write of a run's record."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from trainstack.core.runs.record import Status
from trainstack.core.runs.store_index import GONE, ended_mark, open_mark, run_of, short_version
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.store import Entry, Item, Store, VersionConflictError


def indexed(store: Store) -> Store:
    """Return a store that keeps its index; a folder has its own, which every machine makes for itself."""
    return store if isinstance(store, FolderStore | IndexedStore) else IndexedStore(store)


class IndexedStore(Store):
    """A store whose index of runs follows what is written through it; `store_index` says how."""

    def __init__(self, store: Store) -> None:
        self.address = store.address
        self._store = store
        self._nonce = secrets.token_hex(8)
        self._marked: set[str] = set()

    def get(self, key: str) -> Entry:
        """Read a record."""
        return self._store.get(key)

    def create(self, key: str, data: bytes) -> str:
        """Write a record where there is none."""
        return self._noted(run_of(key), data, lambda: self._store.create(key, data))

    def replace(self, key: str, data: bytes, version: str) -> str:
        """Write over a version of a record."""
        return self._noted(run_of(key), data, lambda: self._store.replace(key, data, version))

    def delete(self, key: str) -> None:
        """Remove a record or content."""
        run_id = run_of(key)
        if not run_id:
            self._store.delete(key)
            return
        self._mark(run_id)
        self._store.delete(key)
        self._close(run_id, GONE, self._open_marks(run_id))

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove records or content, records of runs first."""
        others: list[str] = []
        for key in keys:
            if run_of(key):
                self.delete(key)
            else:
                others.append(key)
        self._store.delete_all(others)

    def list(self, prefix: str = "") -> Iterator[Item]:
        """Yield all keys below a folder."""
        return self._store.list(prefix)

    def upload(self, path: Path, key: str) -> str:
        """Store a file as content."""
        return self._store.upload(path, key)

    def download(self, key: str, path: Path, digest: str | None = None) -> str:
        """Write content to a file."""
        return self._store.download(key, path, digest)

    def _noted(self, run_id: str, data: bytes, write: Callable[[], str]) -> str:
        if not run_id:
            return write()
        first = run_id not in self._marked
        self._mark(run_id)
        ended = Status(json.loads(data)["status"]).ended
        # Before the write: a machine that takes the run over meanwhile has a mark that is not among them.
        marks = self._open_marks(run_id) if ended else []
        try:
            version = write()
        except (FileExistsError, VersionConflictError):
            if first:
                self._store.delete(open_mark(run_id, self._nonce))
                self._marked.discard(run_id)
            raise
        if ended:
            self._close(run_id, short_version(version), marks)
        return version

    def _mark(self, run_id: str) -> None:
        if run_id not in self._marked:
            with contextlib.suppress(FileExistsError):
                self._store.create(open_mark(run_id, self._nonce), b"")
            self._marked.add(run_id)

    def _open_marks(self, run_id: str) -> list[str]:
        return [item.key for item in self._store.list(open_mark(run_id, "").rstrip("/"))]

    def _close(self, run_id: str, version: str, marks: list[str]) -> None:
        with contextlib.suppress(FileExistsError):
            self._store.create(ended_mark(run_id, version), b"")
        for mark in marks:
            self._store.delete(mark)
        self._marked.discard(run_id)
