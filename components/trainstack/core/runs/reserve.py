"""Disk that a run keeps for its end: on a full disk it can still be stopped, and its record can still say why it ended.

A block is overwritten in its place and renamed, which takes no more disk; the rest is given back just before the end is
written down. Both are gone when the run has ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from trainstack.storage.atomic import disk_errors

STOP = "stop"
"""A run that has this file is to end; it holds the reason."""
_STOP_RESERVE, _STOP_BYTES = ".stop", 4096
_END_RESERVE, _END_BYTES = ".reserve", 64 * 1024


def keep(folder: Path) -> None:
    """Reserve disk for the end of a run; a disk that is full already has none.

    Args:
        folder: The run directory.
    """
    for name, size in ((_STOP_RESERVE, _STOP_BYTES), (_END_RESERVE, _END_BYTES)):
        path = folder / name
        try:
            with path.open("wb") as file:
                # Blanks, and not a hole: the blocks are to be this file's.
                file.write(b" " * size)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)


def give_back(folder: Path) -> None:
    """Give the disk back for what is written now."""
    for name in (_STOP_RESERVE, _END_RESERVE):
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def ask_to_stop(folder: Path, reason: str) -> None:
    """Ask the supervisor of a run to end it.

    Args:
        folder: The run directory.
        reason: Kept as the run's reason.

    Raises:
        TrainstackError: The disk is full and nothing was reserved, or the folder is not writable.
    """
    path = folder / STOP
    with disk_errors(path):
        try:
            path.write_text(reason, encoding="utf-8")
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT) or not (folder / _STOP_RESERVE).exists():
                raise
            with (folder / _STOP_RESERVE).open("r+b") as file:
                file.write(reason.encode()[:_STOP_BYTES].ljust(_STOP_BYTES))
            (folder / _STOP_RESERVE).replace(path)
