"""Room on a disk: whether something fits, asked before its first byte is written, and what a removal would free."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from trainstack.errors import TrainstackError


def require(folder: Path, size: int, what: str) -> None:
    """Make sure that bytes fit where they are to be written.

    A look ahead and no promise: others write meanwhile, and a write that then fails says so itself.

    Args:
        folder: Where they are to go; may not exist yet.
        size: How many bytes.
        what: What they are, for the message.

    Raises:
        TrainstackError: Less is free there.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if size > free:
        raise TrainstackError(
            f"disk full: {what} needs {size:,} bytes, {folder} has {free:,}: free some space "
            "(`trainstack gc` says what can go) and run again"
        )


def size_of(files: Iterable[Path]) -> int:
    """Bytes of files in all; one that is gone counts nothing, whoever reads it will say so."""
    size = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def freed(groups: Iterable[Iterable[Path]]) -> list[int]:
    """Bytes that the disk gets back when groups of files are removed one after the other.

    A file with several hard links counts where its last one goes, and nowhere while one is left elsewhere.
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
    """A file itself, or all that is below a folder and is none."""
    if path.is_symlink() or not path.is_dir():
        return [path]
    return [found for found in path.rglob("*") if found.is_symlink() or not found.is_dir()]
