"""Space on a disk: whether something fits before its first byte is written, and what a removal would free."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from trainstack.errors import TrainstackError


def require(folder: Path, size: int, label: str) -> None:
    """Check that bytes fit where they are to be written.

    This is no reservation: other processes write meanwhile, and a write that then fails raises an error of its own.

    Args:
        folder: Their folder, which may not exist yet.
        size: How many bytes.
        label: What they are, for the message.

    Raises:
        TrainstackError: Less is free there.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if size > free:
        raise TrainstackError(
            f"disk full: {label} needs {size:,} bytes, {folder} has {free:,}: free some space "
            "(`trainstack gc` says what can go) and run again"
        )


def size_of(files: Iterable[Path]) -> int:
    """Return the bytes of all files; a missing one counts nothing, because reading it fails later."""
    size = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def used(folder: Path) -> int:
    """Return the bytes of the files below a folder; a file with several hard links counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for file in files_below(folder):
        with contextlib.suppress(FileNotFoundError):
            status = file.lstat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def freed(groups: Iterable[Iterable[Path]]) -> list[int]:
    """Return the bytes that removing groups of files, one after the other, frees.

    A file with several hard links counts in the group of its last link, and nowhere while a link is left elsewhere.
    """
    gone: Counter[tuple[int, int]] = Counter()
    sizes: list[int] = []
    for group in groups:
        size = 0
        for file in group:
            with contextlib.suppress(FileNotFoundError):
                status = file.lstat()
                inode = (status.st_dev, status.st_ino)
                gone[inode] += 1
                size += status.st_size if gone[inode] == status.st_nlink else 0
        sizes.append(size)
    return sizes


def files_below(path: Path) -> list[Path]:
    """Return a file itself, or all files below a folder."""
    if path.is_symlink() or not path.is_dir():
        return [path]
    return [entry for entry in path.rglob("*") if entry.is_symlink() or not entry.is_dir()]
