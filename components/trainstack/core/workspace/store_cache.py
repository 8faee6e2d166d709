"""The folder that a workspace in an object store is used in on this machine, and how paths in it are written down.

The store has the truth; the folder may be deleted at any time. Inputs and outputs name the store's address where they
would name the folder, so that they are the same on every machine.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from trainstack.core.workspace.project import portable
from trainstack.storage import digest
from trainstack.storage.atomic import write_bytes
from trainstack.storage.cache import cache_folder
from trainstack.storage.object_store.address import address_in, checked_form

_FILE = "store-address"


def folder_for(address: str) -> Path:
    """Return the folder of the workspace at an address, made when missing, and marked as what it is.

    Raises:
        InvalidInputError: The address has a wrong form.
        TrainstackError: The cache folder is not writable.
    """
    folder = _folder(checked_form(address, "root"))
    if not address_of(folder):
        write_bytes(folder / _FILE, address.encode())
    return folder


def cached_folder(kind: str, address: str) -> Path:
    """Return where this machine's cache keeps what it has of the workspace at an address; it may not exist yet.

    Args:
        kind: What it has: `workspaces` for a whole copy, `records` for its records alone.
        address: The address.
    """
    return cache_folder() / kind / digest.of_bytes(address.rstrip("/").encode())[:16]


def address_of(root: Path) -> str:
    """Return the address of the store that has the truth of a workspace's folder; empty where the folder has it."""
    with contextlib.suppress(FileNotFoundError):
        return (root / _FILE).read_text(encoding="utf-8")
    return ""


def stored_path(path: Path, project: Path) -> str:
    """Return a path as inputs and outputs hold it: relative to the project, absolute, or an address.

    Args:
        path: The path; relative to the project.
        project: The project's folder.
    """
    if address := address_in(path):
        return address
    workspaces = cache_folder() / "workspaces"
    if path.is_relative_to(workspaces):
        name, *below = path.relative_to(workspaces).parts
        if address := address_of(workspaces / name):
            return "/".join([address, *below])
    return portable(path, project)


def local_path(text: str, project: Path) -> Path:
    """Return where a path that inputs or outputs hold is on this machine, absolute.

    Args:
        text: The path, see `stored_path`.
        project: The project's folder.
    """
    path = Path(text)
    if not (address := address_in(path)):
        return project / path.expanduser()
    # The workspace is opened before anything in it: the longest address that is known here is the workspace's.
    parts = address.split("/")
    for count in range(len(parts), 2, -1):
        if address_of(folder := _folder("/".join(parts[:count]))):
            return folder.joinpath(*parts[count:])
    return _folder(address)


def _folder(address: str) -> Path:
    return cached_folder("workspaces", address)
