"""Bring the records in a machine's copy of a workspace up to date, without any content.

Datasets, models, sweeps and computes are listed. Of runs only those are looked at that were read here before, by the
store's index: others are fetched when somebody reads them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainstack.core.replication.workspace_folder import WorkspaceFolder
from trainstack.core.runs.directory import RECORDS
from trainstack.core.runs.store_runs import StoreRuns
from trainstack.core.workspace import origin
from trainstack.core.workspace.journal import Journal
from trainstack.core.workspace.layout import is_content, is_record
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage import locks
from trainstack.storage.store import Item, Store, VersionConflictError

FOLDERS = ("datasets", "models", "sweeps", "computes")
_AT_ONCE = 16
_WITH_A_FOLDER = ("model.json", "sweep.json")


def updating_lock(root: Path, run_id: str) -> Path:
    """Return the lock that a process of this machine holds while it works on a run's records, which then stay."""
    return root / "locks" / f"updating-{run_id}"


def pull_records(store: Store, workspace: Workspace) -> None:
    """Take over records that have changed in the store; what was changed here and not pushed yet stays.

    Args:
        store: The store that has the workspace's truth.
        workspace: This machine's copy.

    Raises:
        TrainstackError: The store refuses or does not answer.
    """
    folder, journal = WorkspaceFolder(workspace), Journal(workspace.root, store.address)
    origin.forget_listings(workspace.root)
    runs = StoreRuns(workspace.root, store)
    with locks.shared(workspace.records_lock), ThreadPoolExecutor(_AT_ONCE) as pool:
        look = pool.submit(runs.look)
        listings = [pool.submit(_listed, store, name) for name in FOLDERS]
        items = {key: item for listing in listings for key, item in listing.result().items()}
        for done in [pool.submit(_take, store, folder, journal, item) for item in items.values()]:
            done.result()
        look.result()
    for key in journal.known_keys():
        if key.partition("/")[0] in FOLDERS and key not in items:
            _drop(folder, journal, key)
    _drop_changed_runs(folder, journal, runs)


def _listed(store: Store, name: str) -> dict[str, Item]:
    return {item.key: item for item in store.list(name) if is_record(item.key) or is_content(item.key)}


def _take(store: Store, folder: WorkspaceFolder, journal: Journal, item: Item) -> None:
    """Fetch a record, or a sweep's file, unless it is here as it is there."""
    key, known = item.key, journal.versions(item.key)
    try:
        here = folder.version(key)
    except FileNotFoundError:
        here = ""
    if here and known == (here, item.version):
        return
    if here and known and known[0] != here:
        return
    try:
        if is_content(key):
            version = store.download(key, folder.path(key))
            journal.note(key, folder.version(key), version)
            return
        entry = store.get(key)
        if here and not known:
            # Made here by a process that was killed before it was pushed, or pulled by one that could not note it.
            if folder.get(key).data == entry.data:
                journal.note(key, here, entry.version)
            return
        version = folder.replace(key, entry.data, here) if here else folder.create(key, entry.data)
        journal.note(key, version, entry.version)
    except (FileNotFoundError, FileExistsError, VersionConflictError):
        # Changed by another process of this machine, or removed in the store, since it was looked at.
        return


def _drop(folder: WorkspaceFolder, journal: Journal, key: str) -> None:
    """Remove what the store has no more; unless it was changed here, which its next push reports."""
    known = journal.versions(key)
    with contextlib.suppress(FileNotFoundError):
        if known and folder.version(key) != known[0]:
            return
        path = folder.path(key)
        path.unlink()
        if path.name in _WITH_A_FOLDER:
            shutil.rmtree(path.parent, ignore_errors=True)
    journal.forget(key)


def _drop_changed_runs(folder: WorkspaceFolder, journal: Journal, runs: StoreRuns) -> None:
    """Remove records of runs that may be others by now: they are fetched again by whoever reads them."""
    here: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        here = os.listdir(folder.root / "runs")  # noqa: PTH208 (quicker than a Path each)
    known = {run_id: pair[1] for run_id in here if (pair := journal.versions(f"runs/{run_id}/run.json"))}
    for run_id in runs.changed(known):
        with locks.try_exclusive(updating_lock(folder.root, run_id)) as alone:
            is_driven = not alone or locks.is_locked(folder.path(f"runs/{run_id}/lock"))
            if is_driven or _is_changed_here(folder, journal, run_id):
                continue
            for name in RECORDS:
                key = f"runs/{run_id}/{name}"
                folder.path(key).unlink(missing_ok=True)
                journal.forget(key)


def _is_changed_here(folder: WorkspaceFolder, journal: Journal, run_id: str) -> bool:
    for name in RECORDS:
        key = f"runs/{run_id}/{name}"
        with contextlib.suppress(FileNotFoundError):
            version, known = folder.version(key), journal.versions(key)
            if known is None or known[0] != version:
                return True
    return False
