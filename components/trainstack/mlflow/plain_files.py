"""Files that a script left, for a reader that trusts no script: nothing through a link, nothing but a plain file.

A link may lead to any file that this user can read, which a script in a container cannot. A pipe never ends.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def matching(root: Path, pattern: str) -> Iterator[Path]:
    """Yield what matches below a folder, but for what is reached through a link.

    Args:
        root: The folder.
        pattern: As `Path.glob` takes it.
    """
    for path in root.glob(pattern):
        parts = [path, *path.parents]
        if not any(part.is_symlink() for part in parts[: parts.index(root)]):
            yield path


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the plain files below a folder, sorted; none where the folder itself is a link."""
    if folder.is_symlink():
        return
    for path in sorted(folder.rglob("*")):
        try:
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
        except OSError:
            continue


def opened(path: Path) -> BinaryIO:
    """Open a plain file for reading.

    Raises:
        OSError: It is a link, a pipe, a device or a folder, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path) -> bytes:
    """Return what is in a plain file.

    Raises:
        OSError: As `opened`.
    """
    with opened(path) as file:
        return file.read()


def read_text(path: Path, errors: str = "replace") -> str:
    """Return the text of a plain file.

    Args:
        path: The file.
        errors: What becomes of bytes that are no UTF-8, as `bytes.decode` has it.

    Raises:
        OSError: As `opened`.
    """
    return read_bytes(path).decode("utf-8", errors)
