"""Reclaim what nothing in a workspace points to.

Registrations and submissions share the workspace's records lock from their first blob to their record; the collection
holds it exclusively. So a blob without a record has lost its writer. `docs/store.md` explains the store.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainstack.core.maintenance import references
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage import disk_space, locks

# A supervisor writes a record under another name without the records lock, and renames it within this time.
_UNFINISHED_SECONDS = 3600
# The folders with records; scripts write to none of them.
_UNFINISHED = ("", "cache/", "datasets/*/", "models/*/", "runs/*/", "runs/*/nodes/", "services/*/", "computes/*/")


@dataclass(frozen=True)
class Garbage:
    """Something that can be removed.

    Attributes:
        kind: `blob`: no record points to it. `partial`: a download or copy that was given up a week ago. `aside`: a
            record's half-written successor. `trash`: the rest of a removal that was killed. `orphan`: something that
            an engine has of a run that is over.
        path: The file or folder; of an orphan what it is, and its name there.
        size: Bytes that its removal frees, after those before it in the list; 0 where a hard link elsewhere stays.
    """

    kind: str
    path: Path
    size: int


def find(workspace: Workspace) -> list[Garbage]:
    """List what could be reclaimed now; what a registration under way has stored so far is listed too.

    Raises:
        TrainstackError: A record is damaged, so it is not known what it points to.
    """
    candidates = [("trash", path) for path in sorted(workspace.trash.glob("*"))]
    candidates += [("aside", path) for path in _unfinished(workspace)]
    candidates += [("partial", path) for path in sorted(workspace.blobs.abandoned())]
    needed = references.blobs(workspace)
    candidates += [("blob", workspace.blobs.path(digest)) for digest in sorted(workspace.blobs) if digest not in needed]
    sizes = disk_space.freed(disk_space.files_below(path) for _, path in candidates)
    return [Garbage(kind, path, size) for (kind, path), size in zip(candidates, sizes, strict=True)]


def collect(workspace: Workspace, progress: Callable[[str], None] = lambda _: None) -> list[Garbage]:
    """Remove what nothing needs, once no registration or submission is under way; they wait meanwhile.

    Args:
        workspace: The workspace.
        progress: Called with what it waits for.

    Returns:
        What was removed.

    Raises:
        TrainstackError: A record is damaged; nothing was removed.
    """
    with locks.exclusive(workspace.records_lock, lambda: progress("waiting for registrations under way")):
        removed = find(workspace)
        for garbage in removed:
            remove(garbage.path)
    return removed


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _unfinished(workspace: Workspace) -> list[Path]:
    oldest = time.time() - _UNFINISHED_SECONDS
    leftovers: list[Path] = []
    for pattern in _UNFINISHED:
        for path in sorted(workspace.root.glob(f"{pattern}.*.tmp")):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < oldest:
                    leftovers.append(path)
    return leftovers
