"""Reclaim training environments of this machine's cache that have not been used for a while.

An environment can always be built again from its lock, so this costs time at worst. It never takes one away from a
process that runs on it, from a run of the workspace that is yet to complete, or from a service that is to run.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from trainstack.core.environments import venv
from trainstack.core.maintenance import references
from trainstack.core.maintenance.gc import Garbage
from trainstack.core.services.record import list_services
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage import disk_space
from trainstack.storage.cache import cache_folder

_DAY = 24 * 3600


def find(workspace: Workspace, days: float) -> list[Garbage]:
    """List environments without a use for `days` days that the workspace does not need.

    Raises:
        TrainstackError: A service's record is damaged.
    """
    oldest = time.time() - days * _DAY
    needed = set(_needed(workspace))
    commands = _commands()
    root = cache_folder() / "environments"
    folders = [
        folder
        for folder in sorted(root.glob("[!.]*"))
        if folder.is_dir()
        and venv.last_used(folder) < oldest
        and folder.name not in needed
        and not any(str(folder) in command for command in commands)
    ]
    # A removal that was killed leaves these.
    folders += [root / leftover.name[1:-4] for leftover in sorted(root.glob(".*.tmp"))]
    sizes = disk_space.freed(
        disk_space.files_below(folder) + disk_space.files_below(folder.with_name(f".{folder.name}.tmp"))
        for folder in folders
    )
    return [Garbage("environment", folder, size) for folder, size in zip(folders, sizes, strict=True)]


def collect(workspace: Workspace, days: float) -> list[Garbage]:
    """Remove what `find` lists; an environment that is used or built meanwhile stays.

    Returns:
        What was removed.
    """
    oldest = time.time() - days * _DAY
    return [garbage for garbage in find(workspace, days) if venv.discard(garbage.path, oldest)]


def _needed(workspace: Workspace) -> Iterator[str]:
    for request in references.unfinished(workspace):
        yield request.spec.environment.digest
    for service in list_services(workspace):
        if service.status != "stopped":
            yield from Path(service.python).parts


def _commands() -> list[str]:
    """Return the command lines of this machine's processes, as far as they are readable."""
    commands: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            commands.append(process.read_text("utf-8", errors="surrogateescape"))
    return commands
