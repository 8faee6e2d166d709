"""Room on a disk: whether something fits, asked before its first byte is written, and what a removal would free."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from trainstack.errors import TrainstackError

# Looking takes a while where there are many files, and one dataset asks for each of its own.
LOOK_AGAIN_SECONDS = 5.0


class Quota:
    """How many bytes a folder may hold. Asked before something is written; files with several names count once."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Limit `folder` to `limit` bytes."""
        self.folder = folder
        self.limit = limit
        self._used = 0
        self._looked = float("-inf")

    def require(self, size: int, what: str) -> None:
        """Make sure that so many bytes more are allowed; they count as used from then on.

        Args:
            size: How many bytes.
            what: What they are, for the message.

        Raises:
            TrainstackError: They are over the quota.
        """
        if time.monotonic() - self._looked > LOOK_AGAIN_SECONDS:
            self._used = used(self.folder)
            self._looked = time.monotonic()
        if self._used + size > self.limit:
            raise TrainstackError(
                f"quota: {what} needs {size:,} bytes, {self.folder} holds {self._used:,} of the {self.limit:,} that "
                "quota_gib allows: free some (`trainstack gc` says what can go) or raise it, and run again"
            )
        self._used += size


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


def used(folder: Path) -> int:
    """Bytes that the files below a folder hold; one with several hard links counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for file in files_below(folder):
        with contextlib.suppress(FileNotFoundError):
            status = file.lstat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


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
