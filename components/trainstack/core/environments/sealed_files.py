"""What the files of a built environment were when it was built: told cheaply by size and times, fully by digest.

Scripts run as the user whose files these are. They are write-protected, which stops an accident, and sealed, which
shows the rest: a digest over the sizes and times of all files, compared when the environment is used and was not in the
last minute, because it costs 0.2 s for TensorFlow. Where sizes or times differ, the files' own digests decide.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from trainstack.storage import digest as digests
from trainstack.storage.atomic import write_bytes, write_json

_FOLDER = "venv"
_MANIFEST = "files.json"
_SEAL = "seal"
_FRESH_SECONDS = 60.0
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
# What Python would run or load of a file that was not there. A compiled module is made anew whenever it is missing.
_LOADED = (".py", ".pth", ".so")

Status: TypeAlias = tuple[str, int, int, int]
"""A file's path below the folder, its size, and the times of its last write and change in nanoseconds."""


def seal(folder: Path) -> None:
    """Write-protect the files of an environment that has just been built, and write down what they are.

    Args:
        folder: The environment's folder.
    """
    root = folder / _FOLDER
    for path, mode in _regular_files(root):
        if mode & _WRITABLE:
            os.chmod(path, stat.S_IMODE(mode) & ~_WRITABLE)  # noqa: PTH101 (20,000 Path objects take their time)
    statuses = _statuses(root)
    contents = digests.of_files(root, [name for name, *_ in statuses])
    write_json(folder / _MANIFEST, {name: [*status, contents[name]] for name, *status in statuses})
    write_bytes(folder / _SEAL, _seal_of(statuses).encode())


def find_change(folder: Path) -> str | None:
    """Look over an environment's files, unless somebody has in the last minute.

    Returns:
        The first file that is not what it was, in a few words; None where all are.
    """
    path = folder / _SEAL
    try:
        if 0 <= time.time() - path.stat().st_mtime < _FRESH_SECONDS:
            return None
        statuses = _statuses(folder / _FOLDER)
        if path.read_text() != _seal_of(statuses):
            # A cache that was restored from a copy has other times.
            changes = list(_changes(folder, statuses, thorough=False))
            if changes:
                return changes[0]
            write_bytes(path, _seal_of(_statuses(folder / _FOLDER)).encode())
        os.utime(path)
    except (OSError, ValueError):
        return "what its files were is not known"
    return None


def find_changes(folder: Path) -> list[str]:
    """Read all files of an environment, and return those that are not what they were, each in a few words."""
    try:
        return list(_changes(folder, _statuses(folder / _FOLDER), thorough=True))
    except (OSError, ValueError):
        return ["what its files were is not known"]


def _changes(folder: Path, statuses: list[Status], *, thorough: bool) -> Iterator[str]:
    manifest: dict[str, list[Any]] = json.loads((folder / _MANIFEST).read_bytes())
    root = folder / _FOLDER
    here = {name for name, *_ in statuses}
    doubtful = [name for name, *status in statuses if name in manifest and (thorough or manifest[name][:3] != status)]
    contents = digests.of_files(root, doubtful)
    for name in sorted(manifest.keys() | here):
        if name not in here:
            yield f"{_FOLDER}/{name} is gone"
        elif name not in manifest:
            if name.endswith(".pyc"):
                with contextlib.suppress(OSError):
                    (root / name).unlink()
            elif name.endswith(_LOADED):
                yield f"{_FOLDER}/{name} was added"
        elif name in contents and contents[name] != manifest[name][3]:
            yield f"{_FOLDER}/{name} was changed"


def _seal_of(statuses: list[Status]) -> str:
    return digests.of_bytes(repr(statuses).encode(errors="surrogateescape"))


def _statuses(root: Path) -> list[Status]:
    """The files below a folder, in the order of their paths; links are those of the interpreter, and not followed."""
    statuses: list[Status] = []
    pending = [str(root)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    name = entry.path[len(str(root)) + 1 :]
                    statuses.append((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return sorted(statuses)


def _regular_files(root: Path) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = f"{folder}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                yield path, mode
