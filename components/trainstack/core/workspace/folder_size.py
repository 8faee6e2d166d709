"""The limit for the size of a folder that is stored or sent as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainstack.abbreviation import counted
from trainstack.errors import InvalidInputError


def check_size(field: str, folder: Path, names: Sequence[str], size: int, limit: int, remedy: str) -> None:
    """Check that a folder is not too large, which is nearly always because of data in it by mistake.

    Args:
        field: The input that names the folder.
        folder: The folder.
        names: The relative paths that count.
        size: The sum of their sizes, bytes.
        limit: The largest sum to accept, bytes.
        remedy: What to do about it.

    Raises:
        InvalidInputError: It is too large; the message names the largest file.
    """
    if size <= limit:
        return
    largest = max(names, key=lambda name: (folder / name).stat().st_size)
    raise InvalidInputError(
        f"{field} {str(folder)!r} holds {size:,} bytes in {counted(len(names), 'file')}, over the limit of {limit:,} "
        f"(largest: {largest}): {remedy}",
        field=field,
    )
