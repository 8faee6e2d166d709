"""Clone a file: a new file that shares the other's blocks until one of the two is written to."""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path

# FICLONE of linux/fs.h; where a system has another call or none, `clone` fails and the caller copies.
_FICLONE = 0x40049409


def clone(source: Path, target: Path) -> bool:
    """Clone a file, where the file system can (btrfs, XFS, bcachefs, ZFS).

    Args:
        source: The file.
        target: The new file, which is not there yet.

    Returns:
        Whether it was done; if not, there is no new file.
    """
    try:
        with source.open("rb") as origin, target.open("xb") as file:
            fcntl.ioctl(file.fileno(), _FICLONE, origin.fileno())
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        return False
    return True
