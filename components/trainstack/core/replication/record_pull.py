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

from trainstack.core.replication.replication import listing
from trainstack.core.replication.workspace_folder import WorkspaceFolder
from trainstack.core.runs.directory import RECORDS
from trainstack.core.runs.store_runs import StoreRuns
from trainstack.core.workspace import origin
from trainstack.core.workspace.journal import Journal
from trainstack.core.workspace.layout import is_content
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
        listings = [pool.submit(listing, store, name) for name in FOLDERS]
        items = {key: item for each in listings for key, item in each.result().items()}
        for done in [pool.submit(_take, store, folder, journal, item) for item in items.values()]:
            done.result()
        look.result()
    for key in journal.known_keys():
        if key.partition("/")[0] in FOLDERS and key not in items:
            _drop(folder, journal, key)
    _drop_changed_runs(folder, journal, runs)


def _take(store: Store, folder: WorkspaceFolder, journal: Journal, item: Item) -> None:
    """Fetch a record, or a sweep's file, unless it is here as it is there."""
    key, noted = item.key, journal.versions(item.key)
    try:
        version = folder.version(key)
    except FileNotFoundError:
        version = ""
    is_current = noted == (version, item.version)
    is_changed_here = noted is not None and noted[0] != version
    if version and (is_current or is_changed_here):
        return
    try:
        if is_content(key):
            downloaded = store.download(key, folder.path(key))
            journal.note(key, folder.version(key), downloaded)
            return
        entry = store.get(key)
        if version and not noted:
            # Made here by a process that was killed before it was pushed, or pulled by one that could not note it.
            if folder.get(key).data == entry.data:
                journal.note(key, version, entry.version)
            return
        written = folder.replace(key, entry.data, version) if version else folder.create(key, entry.data)
        journal.note(key, written, entry.version)
    except (FileNotFoundError, FileExistsError, VersionConflictError):
        # Changed by another process of this machine, or removed in the store, since it was looked at.
        return


def _drop(folder: WorkspaceFolder, journal: Journal, key: str) -> None:
    """Remove what the store has no more; unless it was changed here, which its next push reports."""
    noted = journal.versions(key)
    with contextlib.suppress(FileNotFoundError):
        if noted and folder.version(key) != noted[0]:
            return
        path = folder.path(key)
        path.unlink()
        if path.name in _WITH_A_FOLDER:
            shutil.rmtree(path.parent, ignore_errors=True)
    journal.forget(key)


def _drop_changed_runs(folder: WorkspaceFolder, journal: Journal, runs: StoreRuns) -> None:
    """Remove records of runs that may be others by now: they are fetched again by whoever reads them."""
    run_ids: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        run_ids = os.listdir(folder.root / "runs")  # noqa: PTH208 (quicker than a Path each)
    versions = {run_id: pair[1] for run_id in run_ids if (pair := journal.versions(f"runs/{run_id}/run.json"))}
    for run_id in runs.changed(versions):
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
            version, noted = folder.version(key), journal.versions(key)
            if noted is None or noted[0] != version:
                return True
    return False
