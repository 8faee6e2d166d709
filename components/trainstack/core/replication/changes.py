"""Push what a machine has changed in its copy of a workspace: found on this machine, without listing the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from trainstack.core.replication.copies import running, sender
from trainstack.core.replication.replication import Replication, Report, Side, listing
from trainstack.core.replication.unit import head_of, unit_of
from trainstack.core.replication.workspace_folder import WorkspaceFolder
from trainstack.core.runs.indexed_store import indexed
from trainstack.core.workspace.journal import Journal
from trainstack.core.workspace.layout import is_record
from trainstack.core.workspace.record_references import references
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.storage.blob_origin import BlobOrigin
from trainstack.storage.store import Item, Store, blob_digest


def push_changes(workspace: Workspace, store: Store, folders: Iterable[str], *, going_on: bool = False) -> Report:
    """Push what was changed here since it was pushed or pulled last.

    Args:
        workspace: This machine's copy.
        store: The store that has the workspace's truth.
        folders: Where to look: `datasets`, `runs/ID` and so on.
        going_on: Whether to push what runs that go on have written by now; otherwise they are left out.

    Returns:
        What was pushed; nothing of what somebody else has changed too.

    Raises:
        TrainstackError: The store refuses or does not answer.
    """
    folder, store = WorkspaceFolder(workspace), indexed(store)
    # One at a time on a machine: two would find each other's records changed.
    with locks.shared(workspace.records_lock), locks.exclusive(workspace.root / "locks" / "push"):
        journal = Journal(workspace.root, store.address)
        local_items = {key: item for name in folders for key, item in listing(folder, name).items()}
        left_out = set[str]() if going_on else running(workspace)
        changed = {key: item for key, item in local_items.items() if _is_changed(item, journal)}
        units = {name for key in changed if (name := unit_of(key)) not in left_out}
        target = {key: item for name in units if name.count("/") == 1 for key, item in listing(store, name).items()}
        # What was there and is there no more was removed by another machine.
        removed = [head for name in units if (head := head_of(name)) and journal.versions(head) and head not in target]
        units -= set(map(unit_of, removed))
        source = {key: item for key, item in local_items.items() if unit_of(key) in units}
        if not source:
            return Report(conflicts=sorted(removed))
        target |= {key: item for key in source if key not in target and (item := _noted_record(key, journal))}
        blob_origin = BlobOrigin(lambda: store)
        for key in [key for key in source if is_record(key)]:
            for blob in _blobs(folder, key):
                # What an unchanged record stands for was in the store before it. A run's code goes there anew, because
                # no lease keeps a collection from what nothing points to yet (`core/maintenance/store_gc.py`).
                anew = blob.version and unit_of(key) != key
                if key not in changed or (not anew and blob_origin.has(blob.key.rpartition("/")[2])):
                    target[blob.key] = blob
                if blob.version:
                    source[blob.key] = blob
        copy = Replication(
            Side(folder, source), Side(store, target), sender(folder, store), journal, lambda _done, _all: None
        )
        report = copy.run(left_out)
        return replace(report, conflicts=sorted([*report.conflicts, *removed]))


def _is_changed(item: Item, journal: Journal) -> bool:
    noted = journal.versions(item.key)
    return noted is None or noted[0] != item.version


def _noted_record(key: str, journal: Journal) -> Item | None:
    """A record as the store had it last: it is replaced only if it still is that."""
    noted = journal.versions(key)
    return Item(key, -1, noted[1]) if noted and is_record(key) and unit_of(key) == key else None


def _blobs(folder: WorkspaceFolder, key: str) -> Iterator[Item]:
    """Yield the blobs that a record stands for; without a version those that are not here."""
    try:
        needs = references(key, folder.get(key).data)
    except (TrainstackError, FileNotFoundError):
        # The copy itself says what is wrong with it.
        return
    for blob in (reference.key for reference in needs if blob_digest(reference.key)):
        try:
            yield Item(blob, folder.path(blob).stat().st_size, folder.version(blob))
        except FileNotFoundError:
            yield Item(blob, 0, "")
