"""Whether something fits on a disk, asked before its first byte is written."""

from __future__ import annotations

import contextlib
import shutil
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
