"""Push a workspace from its folder to a store, and pull it into a folder."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from trainstack.core.replication.marker import encoded, marker_in
from trainstack.core.replication.replication import Progress, Replication, Report, Send, Side
from trainstack.core.replication.workspace_folder import WorkspaceFolder
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.indexed_store import indexed
from trainstack.core.workspace.journal import Journal
from trainstack.core.workspace.layout import FOLDERS, ID, MARKER, RECORDS_LEASE
from trainstack.core.workspace.marker import Marker
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import DigestMismatchError, NotFoundError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage import lease, locks
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.store import Store, blob_digest


def push(workspace: Workspace, store: Store, progress: Progress = lambda _done, _all: None) -> Report:
    """Copy what a store does not have yet of a workspace; nothing is removed there.

    Args:
        workspace: The workspace.
        store: Where to.
        progress: Called with the bytes that were sent, and that are to be sent in all.

    Returns:
        What was copied, and what was left out.

    Raises:
        TrainstackError: The store has another workspace, refuses, or does not answer.
    """
    marker = marker_in(store)
    name = marker and marker.name
    if name not in (None, workspace.name):
        raise TrainstackError(
            f"{store.address} is the workspace {name!r}, not {workspace.name!r}: name another address"
        )
    claim(store, workspace.id, workspace.root)
    store = indexed(store)
    # One at a time on a machine: two would find each other's records changed.
    with locks.shared(workspace.records_lock), locks.exclusive(workspace.root / "locks" / "push"):
        folder, journal = WorkspaceFolder(workspace), Journal(workspace.root, store.address)
        source, target = Side.whole(folder), Side.whole(store)
        relied_on = [key for key in source.items if blob_digest(key) and key in target.items]
        report = Replication(source, target, sender(folder, store), journal, progress).run(running(workspace))
        if relied_on and not isinstance(store, FolderStore):
            _send_collected(relied_on, folder, store)
    if name is None:
        store.create(MARKER, encoded(Marker(workspace.name, workspace.quota)))
    return report


def _send_collected(keys: list[str], folder: WorkspaceFolder, store: Store) -> None:
    """Upload blobs again that were there at first, and that a collection of another machine has removed since.

    Under the lease that a collection has: from now on records name them.
    """
    with lease.taken(store, RECORDS_LEASE, "trainstack workspace push"):
        there = {item.key for item in store.list(FOLDERS[0])}
        for key in keys:
            if key not in there:
                with contextlib.suppress(FileNotFoundError, DigestMismatchError):
                    store.upload(folder.path(key), key)


def sender(folder: WorkspaceFolder, store: Store) -> Send:
    """Return what uploads a folder's content to a store, verified where its digest is known."""

    def send(key: str, digest: str | None) -> tuple[str, str]:
        path, version = folder.path(key), folder.version(key)
        if digest and not blob_digest(key) and (actual := digests.of_file(path)) != digest:
            raise DigestMismatchError(f"{path} has SHA-256 {actual}, not {digest}: it is damaged")
        return version, store.upload(path, key)

    return send


def pull(store: Store, root: Path, progress: Progress = lambda _done, _all: None) -> tuple[Workspace, Report]:
    """Copy what a folder does not have yet of a workspace in a store; nothing is removed here.

    Args:
        store: Where from.
        root: The folder of a workspace, or of one to be.
        progress: Called with the bytes that were fetched, and that are to be fetched in all.

    Returns:
        The workspace in the folder; what was copied, and what was left out.

    Raises:
        NotFoundError: There is no workspace in the store.
        TrainstackError: The folder has another workspace; or the store refuses or does not answer.
    """
    workspace = claimed(store, root)
    folder = WorkspaceFolder(workspace)
    with locks.shared(workspace.records_lock):
        source, target = Side.whole(store), Side.whole(folder)
        journal = Journal(root, store.address, swapped=True)
        report = Replication(
            source, target, lambda key, digest: folder.fetch(store, key, digest), journal, progress
        ).run(running(workspace))
    return marked(workspace), report


def claimed(store: Store, root: Path) -> Workspace:
    """Make a folder that of a store's workspace, before anything is written there.

    Raises:
        NotFoundError: There is no workspace in the store.
        TrainstackError: The folder has another workspace.
    """
    marker = marker_in(store)
    if marker is None:
        raise NotFoundError(
            f"no workspace at {store.address}: `trainstack workspace push {store.address}` makes one, and has not "
            "ended where some of it is there"
        )
    workspace = Workspace.open(root) if (root / MARKER).is_file() else Workspace(root, marker.name)
    if workspace.name != marker.name:
        raise TrainstackError(f"{root} is the workspace {workspace.name!r}, not {marker.name!r}: name another folder")
    claim(WorkspaceFolder(workspace), store.get(ID).data.decode().strip(), store.address)
    return replace(workspace, quota=marker.quota)


def marked(workspace: Workspace) -> Workspace:
    """Let a folder say what its store does of the workspace: its name, and how much it may hold."""
    there = Workspace.create(workspace.root, workspace.name)
    return there if there.quota == workspace.quota else there.limited(workspace.quota)


def claim(target: Store, workspace_id: str, source: object) -> None:
    """Make a place that of one workspace, before anything is written there.

    Raises:
        TrainstackError: It is that of another.
    """
    try:
        target.create(ID, f"{workspace_id}\n".encode())
    except FileExistsError as exc:
        if target.get(ID).data.decode().strip() != workspace_id:
            raise TrainstackError(
                f"{target.address} has another workspace of that name than {source}: name another place"
            ) from exc


def running(workspace: Workspace) -> set[str]:
    """Return the runs and sweeps that go on in a folder: their files still change."""
    # All that a run is asked for by comes along, which whoever only reads records can do without.
    from trainstack.core.sweeps.record import SweepDirectory

    names: set[str] = set()
    for path in workspace.runs.glob("*/run.json"):
        try:
            ended = RunDirectory(path.parent).read().status.ended
        except TrainstackError:
            continue
        if not ended:
            names.add(f"runs/{path.parent.name}")
    for path in (workspace.root / "sweeps").glob("*/sweep.json"):
        if locks.is_locked(SweepDirectory(path.parent).lock):
            names.add(f"sweeps/{path.parent.name}")
    return names
