"""Reclaim what nothing in a workspace points to.

Registrations and submissions hold the workspace's records lock together from their first blob to their record; the
collection holds it alone. So a blob that it sees without a record has lost its writer. `docs/store.md` tells the whole.
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

# A supervisor writes its record aside without the records lock; it takes no longer than this to rename it.
_ASIDE_SECONDS = 3600
# Where records are written aside; nowhere that a script of somebody's writes.
_ASIDE = ("", "cache/", "datasets/*/", "models/*/", "runs/*/", "runs/*/nodes/", "services/*/", "computes/*/")


@dataclass(frozen=True)
class Garbage:
    """Something that nothing needs.

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
        TrainstackError: A record is damaged, so nobody knows what it points to.
    """
    found = [("trash", path) for path in sorted(workspace.trash.glob("*"))]
    found += [("aside", path) for path in _aside(workspace)]
    found += [("partial", path) for path in sorted(workspace.blobs.abandoned())]
    needed = references.blobs(workspace)
    found += [("blob", workspace.blobs.path(digest)) for digest in sorted(workspace.blobs) if digest not in needed]
    sizes = disk_space.freed(disk_space.files_below(path) for _, path in found)
    return [Garbage(kind, path, size) for (kind, path), size in zip(found, sizes, strict=True)]


def collect(workspace: Workspace, progress: Callable[[str], None] = lambda _: None) -> list[Garbage]:
    """Remove what nothing needs, once no registration or submission is under way; they wait meanwhile.

    Args:
        workspace: The workspace.
        progress: Told what it waits for.

    Returns:
        What was removed.

    Raises:
        TrainstackError: A record is damaged; nothing was removed.
    """
    with locks.exclusive(workspace.records_lock, lambda: progress("waiting for registrations under way")):
        found = find(workspace)
        for garbage in found:
            remove(garbage.path)
    return found


def remove(path: Path) -> None:
    """Remove a file or folder; one that is gone already is as well."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _aside(workspace: Workspace) -> list[Path]:
    oldest = time.time() - _ASIDE_SECONDS
    found: list[Path] = []
    for place in _ASIDE:
        for path in sorted(workspace.root.glob(f"{place}.*.tmp")):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < oldest:
                    found.append(path)
    return found
