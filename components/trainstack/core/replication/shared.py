"""A workspace that many machines use: its truth is in an object store, a folder of this machine's cache has a copy.

Before a verb of the provider changed records are pulled, after it what it has made is pushed, under a lease that keeps
other machines from doing the same meanwhile. Content comes when something here opens it (`core/workspace/origin.py`).
For a workspace in a folder none of this does anything.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path

from trainstack.core.replication import copies
from trainstack.core.replication.changes import push_changes
from trainstack.core.replication.marker import limit
from trainstack.core.replication.record_pull import pull_records, updating_lock
from trainstack.core.replication.unit import unit_of
from trainstack.core.runs import store_index
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.record import RunRecord
from trainstack.core.workspace import store_cache
from trainstack.core.workspace.journal import Journal
from trainstack.core.workspace.layout import RECORDS_LEASE
from trainstack.core.workspace.origin import origin_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrainstackError, WorkspaceNotFoundError
from trainstack.storage import lease, locks
from trainstack.storage.addresses import open_store
from trainstack.storage.object_store.address import address_in
from trainstack.storage.store import Store

_RUNS_APART = 32
RECORDS = RECORDS_LEASE
"""The lease for everything that is not driven for long: datasets, models, computes."""
_pulled: set[str] = set()
_pulling = threading.Lock()


def opened(root: Path) -> Workspace:
    """Open a workspace; one in an object store is pulled, once in a process.

    Args:
        root: Its folder, or the address that was written where a folder belongs.

    Raises:
        WorkspaceNotFoundError: There is none.
        TrainstackError: The store refuses or does not answer.
    """
    address = address_in(root) or store_cache.address_of(root)
    if not address:
        return Workspace.open(root)
    with _pulling:
        if address not in _pulled:
            _pull(address)
            _pulled.add(address)
    return Workspace.open(store_cache.folder_for(address))


def refreshed(root: Path) -> Workspace:
    """Open a workspace in an object store with its records as they are now.

    Args:
        root: The address that was written where a folder belongs.

    Raises:
        WorkspaceNotFoundError: There is none.
        TrainstackError: The store refuses or does not answer.
    """
    return _pull(address_in(root))


def created(root: Path, name: str) -> Workspace:
    """Open the workspace at a folder or an address, or create it there.

    Raises:
        TrainstackError: There is a workspace of another name, or the place is not writable.
    """
    address = address_in(root)
    if not address:
        return Workspace.create(root, name)
    folder = store_cache.folder_for(address)
    # Under a lease, because two machines may create it at once.
    with _leased(address, RECORDS, lambda _owner: None):
        try:
            return _pull(address).require_name(name)
        except WorkspaceNotFoundError:
            copies.push(Workspace.create(folder, name), open_store(address))
        return _pull(address)


def limited(workspace: Workspace, quota: int | None) -> Workspace:
    """Set how much a workspace may hold, or lift the limit, for everyone who uses it.

    Args:
        workspace: The workspace.
        quota: Bytes; None for no limit.
    """
    if store := origin_of(workspace.root):
        limit(store, quota)
    return workspace.limited(quota)


@contextlib.contextmanager
def updating(workspace: Workspace, name: str, on_wait: Callable[[str], None]) -> Generator[None]:
    """Change a workspace: nobody else changes the same meanwhile, and the store has it when the block ends.

    Args:
        workspace: The workspace.
        name: What is changed: `RECORDS`, or a run that is driven.
        on_wait: Called once with who has it, before waiting for them.

    Raises:
        LeaseLostError: This machine slept or was cut off, and another one went on in its place.
        TrainstackError: The store refuses or does not answer, or has something else by now.
    """
    address = store_cache.address_of(workspace.root)
    if not address:
        yield
        return
    with _leased(address, name, on_wait) as right:
        # What a process that was killed here has left; the store has the truth where it went on without it.
        for key in push_changes(workspace, right.store, _folders(name)).conflicts:
            _discard(workspace, right.store, key)
        _claim_unfinished(right, f"{name}/run.json")
        _pull(address)
        with _kept(workspace, name):
            try:
                yield
            finally:
                right.require()
                _push(workspace, right.store, name)


@contextlib.contextmanager
def publishing(workspace: Workspace, name: str) -> Generator[None]:
    """Have a lease while this machine drives a run that it has begun, and push what it came to.

    Args:
        workspace: The machine's copy.
        name: The run, `runs/ID`.

    Raises:
        LeaseLostError: This machine slept or was cut off, and another one went on in its place.
        TrainstackError: The store refuses or does not answer, or has something else by now.
    """
    address = store_cache.address_of(workspace.root)
    with _leased(address, name, lambda _owner: None) as right:
        yield
        right.require()
        _push(workspace, right.store, name)


@contextlib.contextmanager
def _kept(workspace: Workspace, name: str) -> Generator[None]:
    """Have a run's records here, whatever other verbs of this machine pull meanwhile."""
    folder, _, run_id = name.partition("/")
    if folder != "runs":
        yield
        return
    with locks.exclusive(updating_lock(workspace.root, run_id)):
        RunDirectory(workspace.run(run_id)).fetch_records()
        yield


def _leased(address: str, name: str, on_wait: Callable[[str], None]) -> AbstractContextManager[lease.Lease]:
    return lease.taken(open_store(address), name, f"process {os.getpid()}", on_wait=on_wait)


def _claim_unfinished(right: lease.Lease, key: str) -> None:
    """Close the record of a run to whoever drove it before; one that has ended is written by nobody."""
    with contextlib.suppress(FileNotFoundError):
        if not RunRecord.model_validate_json(right.store.get(key).data).status.ended:
            right.claim(key)


def _pull(address: str) -> Workspace:
    root, store = store_cache.folder_for(address), open_store(address)
    try:
        workspace = copies.claimed(store, root)
    except NotFoundError as exc:
        raise WorkspaceNotFoundError(str(exc)) from exc
    pull_records(store, workspace)
    return copies.marked(workspace)


def _push(workspace: Workspace, store: Store, name: str) -> None:
    report = push_changes(workspace, store, _folders(name))
    if report.conflicts:
        raise TrainstackError(
            f"{report.conflicts[0]} in {store.address} is not what this machine has: another one has written it too; "
            "run again"
        )
    if report.damages:
        raise TrainstackError(f"not all is in {store.address}: {report.damages[0]}")
    if name != RECORDS and report.files:
        # Whoever lists runs reads those that have ended since the last time one by one.
        with contextlib.suppress(TrainstackError):
            store_index.compact(store, _RUNS_APART)


def _folders(name: str) -> tuple[str, ...]:
    """Return what is changed under a lease."""
    if name == RECORDS:
        return ("datasets", "models", "computes")
    return ("sweeps", "runs") if name.startswith("sweeps/") else (name,)


def _discard(workspace: Workspace, store: Store, key: str) -> None:
    """Take what the store has in place of what this machine has."""
    unit = workspace.root / unit_of(key)
    journal = Journal(workspace.root, store.address)
    for known in journal.known_keys():
        if (workspace.root / known).is_relative_to(unit):
            journal.forget(known)
    if unit.is_dir():
        shutil.rmtree(unit, ignore_errors=True)
    else:
        unit.unlink(missing_ok=True)
