"""The records of a workspace in a store, as a folder in this machine's cache, for commands that only read."""

from __future__ import annotations

import contextlib
import shutil
from concurrent.futures import ThreadPoolExecutor

from trainstack.core.runs import index
from trainstack.core.workspace.layout import FOLDERS, ID, MARKER, is_record
from trainstack.core.workspace.store_cache import cached_folder
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError
from trainstack.storage import locks
from trainstack.storage.atomic import read_json, write_bytes, write_json
from trainstack.storage.store import Store

_AT_ONCE = 16
# Read when one run is shown, and then fetched: a list of many needs none of them.
_OF_ONE_RUN = ("spec.json", "events.jsonl", "placement.json")


def open_cached(store: Store) -> Workspace:
    """Open a workspace by its records: those that changed since the last call are fetched, found by listing.

    Args:
        store: Where it is.

    Returns:
        A folder of the cache with the records as they are now. Content is not there, and nothing may be written.

    Raises:
        NotFoundError: There is no workspace.
        TrainstackError: The store refuses or does not answer.
    """
    # Beside the copies that `pulumi up` works on: those are whole, this has records alone.
    root = cached_folder("records", store.address)
    with locks.exclusive(root / "cache" / "lock"), ThreadPoolExecutor(_AT_ONCE) as pool:
        listings = [pool.submit(_records_in, store, folder) for folder in FOLDERS if folder != "blobs/sha256"]
        try:
            write_bytes(root / MARKER, store.get(MARKER).data)
            write_bytes(root / ID, store.get(ID).data)
        except FileNotFoundError as exc:
            raise NotFoundError(f"no workspace at {store.address}: check the address, or push one there") from exc
        workspace = Workspace.open(root)
        items = {key: version for listing in listings for key, version in listing.result().items()}
        versions: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError):
            versions = read_json(root / "cache" / "versions.json")
        changed = [key for key, version in items.items() if versions.get(key) != version]
        for key in versions.keys() - items.keys():
            _remove(workspace, key)
        for fetched in [pool.submit(_fetch, store, workspace, key) for key in changed]:
            fetched.result()
        if versions != items:
            write_json(root / "cache" / "versions.json", items)
    return workspace


def fetch_run(store: Store, workspace: Workspace, run_id: str) -> None:
    """Fetch all records of one run into a workspace that `open_cached` has opened."""
    for name in _OF_ONE_RUN:
        with contextlib.suppress(FileNotFoundError):
            _fetch(store, workspace, f"runs/{run_id}/{name}")


def _records_in(store: Store, folder: str) -> dict[str, str]:
    """Return the versions of the records of a folder that lists are made of."""
    return {
        item.key: item.version
        for item in store.list(folder)
        if is_record(item.key) and not (folder == "runs" and item.key.endswith(_OF_ONE_RUN))
    }


def _fetch(store: Store, workspace: Workspace, key: str) -> None:
    data = store.get(key).data
    if key.endswith("/run.json"):
        index.forget(workspace, key.split("/")[1])
    write_bytes(workspace.root / key, data)


def _remove(workspace: Workspace, key: str) -> None:
    """Remove a record that the store has no more, with the folder that is nothing without it."""
    path = workspace.root / key
    path.unlink(missing_ok=True)
    if path.name in ("run.json", "model.json", "sweep.json"):
        shutil.rmtree(path.parent, ignore_errors=True)
