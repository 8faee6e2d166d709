"""Copy the truth of a workspace from one store to another, with what is there already left as it is.

Content goes before the records that stand for it, a run's record last of its files. So whoever reads the target
meanwhile, or after a kill, sees whole runs, datasets and models, and none that is half there. A second copy sends only
what is missing or has changed, found by listing both sides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from trainstack.core.replication.records import RecordCopier
from trainstack.core.replication.unit import Unit, units
from trainstack.core.workspace.journal import Journal
from trainstack.core.workspace.layout import FOLDERS, is_content, is_record
from trainstack.core.workspace.record_references import references
from trainstack.errors import DigestMismatchError, TrainstackError
from trainstack.storage.store import Item, Store, blob_digest

Progress = Callable[[int, int], None]
Send = Callable[[str, str | None], tuple[str, str]]
_UNITS_AT_ONCE = 4
_FILES_AT_ONCE = 12


@dataclass
class Report:
    """What a copy came to.

    Attributes:
        files: How many objects were sent.
        size: Their bytes.
        running: What was left out because it goes on: `runs/ID`, `sweeps/ID`.
        conflicts: Records that both sides have changed; neither was touched.
        damages: Content that is not what its digest says, or gone, in a sentence each; what needs it was not copied.
    """

    files: int = 0
    size: int = 0
    running: list[str] = field(default_factory=list[str])
    conflicts: list[str] = field(default_factory=list[str])
    damages: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Side:
    """A store and what of it takes part in a copy.

    Attributes:
        store: The store.
        items: Records and content, by key.
    """

    store: Store
    items: dict[str, Item]

    @classmethod
    def whole(cls, store: Store) -> Side:
        """All the truth of a workspace, listed folder by folder."""
        return cls(store, {key: item for folder in FOLDERS for key, item in listing(store, folder).items()})


class Replication:
    """One copy from a source to a target."""

    def __init__(self, source: Side, target: Side, send: Send, journal: Journal, progress: Progress) -> None:
        """Prepare a copy.

        Args:
            source: Where from.
            target: Where to.
            send: Copies content by its key and, where it is known, its digest; returns the versions of both sides.
            journal: What is known to be the same.
            progress: Called with the bytes of content that were sent, and that are to be sent in all.
        """
        self._send, self._journal, self._progress = send, journal, progress
        self._source, self._target = source.items, target.items
        self._records = RecordCopier(source.store, target.store, self._source, self._target, journal)
        self._lock = threading.Lock()
        self._report = Report()
        self._done = 0
        self._total = sum(
            item.size for item in self._source.values() if is_content(item.key) and self._is_missing(item, settled=True)
        )

    def run(self, running: Container[str]) -> Report:
        """Copy.

        Args:
            running: Names of units that go on, and are left out.

        Raises:
            TrainstackError: A store refuses or does not answer; what was copied by then stays.
        """
        with ThreadPoolExecutor(_FILES_AT_ONCE) as files, ThreadPoolExecutor(_UNITS_AT_ONCE) as workers:
            try:
                blobs = [item for key, item in self._source.items() if blob_digest(key)]
                self._send_all([item for item in blobs if self._is_missing(item, settled=True)], {}, files)
                for folder in FOLDERS:
                    ready: list[Unit] = []
                    for unit in units(self._source, folder):
                        if unit.name in running:
                            self._report.running.append(unit.name)
                        else:
                            ready.append(unit)
                    for done in [workers.submit(self._copy, unit, files) for unit in ready]:
                        done.result()
            except BaseException:
                files.shutdown(wait=False, cancel_futures=True)
                workers.shutdown(wait=False, cancel_futures=True)
                raise
        self._report.conflicts.sort()
        return self._report

    def _copy(self, unit: Unit, files: ThreadPoolExecutor) -> None:
        state = self._records.state(unit.head)
        if state == "conflict":
            self._report.conflicts.append(unit.head)
        # Where the target has the same record, its files are those of the record, and a size says enough.
        settled = state == "same"
        missing = [
            item for item in map(self._source.__getitem__, unit.content) if self._is_missing(item, settled=settled)
        ]
        if state in ("conflict", "behind") or (settled and not missing and self._records.all_same(unit.records)):
            return
        entries = {key: self._records.read(key) for key in unit.records}
        if any(entry.version != self._source[key].version for key, entry in entries.items()):
            self._report.running.append(unit.name)
            return
        try:
            needs = [reference for key in unit.records for reference in references(key, entries[key].data)]
        except TrainstackError as exc:
            self._report.damages.append(str(exc))
            return
        self._send_all(missing, {reference.key: reference.digest for reference in needs}, files)
        for lost in (reference for reference in needs if reference.key not in self._target):
            result = "was not copied" if lost.needed else "was copied without it"
            self._report.damages.append(f"{unit.name}: {lost.name} is damaged or gone; it {result}")
            if lost.needed:
                return
        for key, entry in entries.items():
            written = self._records.copy(key, entry)
            if written is None:
                self._report.conflicts.append(key)
            elif written:
                self._count(self._source[key])

    def _send_all(self, items: Iterable[Item], digests: Mapping[str, str], files: ThreadPoolExecutor) -> None:
        for done in [files.submit(self._send_one, item, digests.get(item.key)) for item in items]:
            done.result()

    def _send_one(self, item: Item, digest: str | None) -> None:
        try:
            source, target = self._send(item.key, digest)
        except (DigestMismatchError, FileNotFoundError) as exc:
            with self._lock:
                self._target.pop(item.key, None)
                self._report.damages.append(str(exc))
            return
        self._journal.note(item.key, source, target)
        with self._lock:
            self._target[item.key] = Item(item.key, item.size, target)
        self._count(item)

    def _count(self, item: Item) -> None:
        with self._lock:
            self._report.files += 1
            self._report.size += item.size
            if is_content(item.key):
                self._done += item.size
                self._progress(min(self._done, self._total), self._total)

    def _is_missing(self, item: Item, *, settled: bool) -> bool:
        """Return whether content is to be sent: by its size alone, or unless it is known to be the same."""
        there = self._target.get(item.key)
        if there is None or there.size != item.size:
            return True
        return not settled and self._journal.versions(item.key) != (item.version, there.version)


def listing(store: Store, prefix: str) -> dict[str, Item]:
    """List what belongs to the truth of a workspace below a folder."""
    return {item.key: item for item in store.list(prefix) if is_record(item.key) or is_content(item.key)}
