"""A workspace that many machines use: its truth is in an object store, a folder of this machine's cache has a copy.

What a verb of the provider needs is pulled before it, and what it has made is pushed after it, under a lease that
keeps other machines from doing the same meanwhile. For a workspace in a folder none of this does anything.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Generator
from pathlib import Path

from trainstack.core.replication import copies
from trainstack.core.runs.record import RunRecord
from trainstack.core.workspace import store_cache
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrainstackError, WorkspaceNotFoundError
from trainstack.storage import lease
from trainstack.storage.addresses import open_store
from trainstack.storage.object_store.address import address_in

RECORDS = "records"
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
            _pull(address)
        except WorkspaceNotFoundError:
            _push(Workspace.create(folder, name), address)
        return Workspace.create(folder, name)


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
        _claim_unfinished(right, f"{name}/run.json")
        _pull(address)
        try:
            yield
        finally:
            right.require()
            _push(workspace, address)


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
        _push(workspace, address)


@contextlib.contextmanager
def _leased(address: str, name: str, on_wait: Callable[[str], None]) -> Generator[lease.Lease]:
    owner = f"{socket.gethostname()}, process {os.getpid()}"
    acquired = lease.acquire(open_store(address), name, owner, patience=float("inf"), on_wait=on_wait)
    with lease.held(acquired) as right:
        yield right


def _claim_unfinished(right: lease.Lease, key: str) -> None:
    """Close the record of a run to whoever drove it before; one that has ended is written by nobody."""
    with contextlib.suppress(FileNotFoundError):
        if not RunRecord.model_validate_json(right.store.get(key).data).status.ended:
            right.claim(key)


def _pull(address: str) -> None:
    root = store_cache.folder_for(address)
    try:
        copies.pull(open_store(address), root)
    except NotFoundError as exc:
        raise WorkspaceNotFoundError(str(exc)) from exc


def _push(workspace: Workspace, address: str) -> None:
    report = copies.push(workspace, open_store(address))
    if report.conflicts:
        raise TrainstackError(
            f"{report.conflicts[0]} in {address} is not what this machine has: another one has written it too; "
            f"delete {workspace.root}, which is a copy, and run again"
        )
    if report.damages:
        raise TrainstackError(f"not all is in {address}: {report.damages[0]}")
