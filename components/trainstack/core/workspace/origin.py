"""What a machine's copy of a workspace in an object store lacks: fetched when it is opened, and kept.

The copy has the records that were looked at, and the files that something here has used. Nothing is fetched into a
folder that is a workspace itself.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainstack.core.workspace.journal import Journal
from trainstack.core.workspace.layout import is_content
from trainstack.core.workspace.store_cache import address_of
from trainstack.storage.addresses import open_store
from trainstack.storage.blob_origin import BlobOrigin
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.store import Entry, Item, Store, VersionConflictError

_AT_ONCE = 12


def origin_of(root: Path) -> Store | None:
    """Return the store that a folder is this machine's copy of; None for a workspace's own folder."""
    address = address_of(root)
    return _opened(address) if address else None


def blob_origin(root: Path) -> BlobOrigin | None:
    """Return where blobs of a folder come from; None for a workspace's own folder."""
    address = address_of(root)
    return _blobs(address) if address else None


def forget_listings(root: Path) -> None:
    """Ask the store anew which blobs it has."""
    if origin := blob_origin(root):
        origin.forget()


def fetch_records(root: Path, keys: Sequence[str]) -> list[str]:
    """Fetch records that a copy lacks.

    Args:
        root: The workspace's folder.
        keys: The records.

    Returns:
        Those of them that are there now.

    Raises:
        TrainstackError: The store refuses or does not answer.
    """
    store = origin_of(root)
    if store is None:
        return []
    entries: dict[str, Entry] = {}
    for key in keys:
        with contextlib.suppress(FileNotFoundError):
            entries[key] = store.get(key)
    if not entries:
        return []
    folder, journal = FolderStore(root), Journal(root, store.address)
    for key, entry in entries.items():
        # Another process may have been quicker.
        with contextlib.suppress(FileExistsError):
            journal.note(key, folder.create(key, entry.data), entry.version)
    return list(entries)


def refresh_record(root: Path, key: str) -> None:
    """Fetch a record as the store has it now, unless it was changed here.

    Raises:
        TrainstackError: The store refuses or does not answer.
    """
    store = origin_of(root)
    if store is None or (not (root / key).is_file() and fetch_records(root, [key])):
        return
    folder, journal = FolderStore(root), Journal(root, store.address)
    with contextlib.suppress(FileNotFoundError, VersionConflictError):
        entry, here, known = store.get(key), folder.version(key), journal.versions(key)
        if known and known[0] == here and known[1] != entry.version:
            journal.note(key, folder.replace(key, entry.data, here), entry.version)


def listing(root: Path, prefix: str) -> dict[str, Item]:
    """List content that the store has; nothing for a workspace's own folder.

    Args:
        root: The workspace's folder.
        prefix: A folder of it, such as `runs/ID/outputs`.
    """
    store = origin_of(root)
    return {item.key: item for item in store.list(prefix) if is_content(item.key)} if store else {}


def fetch(root: Path, items: Mapping[str, Item], digests: Mapping[str, str]) -> None:
    """Fetch content that a copy lacks, or has as it was before; what was changed here stays.

    Args:
        root: The workspace's folder.
        items: From `listing`.
        digests: Hex SHA-256 by key, where they are known.

    Raises:
        DigestMismatchError: A file is damaged in the store.
        TrainstackError: The store refuses or does not answer, or the disk is full.
    """
    store = origin_of(root)
    if store is None:
        return
    folder, journal = FolderStore(root), Journal(root, store.address)

    def is_here(item: Item) -> bool:
        try:
            version = folder.version(item.key)
        except FileNotFoundError:
            return False
        known = journal.versions(item.key)
        return known is None or known[0] != version or known[1] == item.version

    def download(item: Item) -> None:
        # What was removed since it was listed is gone.
        with contextlib.suppress(FileNotFoundError):
            version = store.download(item.key, folder.path(item.key), digests.get(item.key))
            journal.note(item.key, folder.version(item.key), version)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(download, item) for item in items.values() if not is_here(item)]:
            done.result()


@functools.lru_cache(maxsize=16)
def _opened(address: str) -> Store:
    return open_store(address)


@functools.lru_cache(maxsize=16)
def _blobs(address: str) -> BlobOrigin:
    return BlobOrigin(functools.partial(_opened, address))
