"""Lists and numbers in messages: the first items and how many more there are, one thing or several."""

from __future__ import annotations

from collections.abc import Sequence


def abbreviated(items: Sequence[str], most: int = 5, *, separator: str = ", ", unnamed: int = 0) -> str:
    """Join the first items of a list, and count the others: `a, b and 3 more`.

    Args:
        items: All that is known by name.
        most: How many of them are shown.
        separator: What stands between two of them.
        unnamed: How many there are besides that nobody knows by name.

    Returns:
        The text; empty for an empty list.
    """
    hidden = max(0, len(items) - most) + unnamed
    shown = separator.join(items[:most])
    if not hidden:
        return shown
    # Items that hold commas themselves need their separator before the count too.
    return f"{shown}{' ' if separator == ', ' else separator}and {hidden} more"


def counted(count: int, noun: str) -> str:
    """A number of things: `1 file`, `2 files`.

    Args:
        count: How many there are.
        noun: What one of them is called.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
