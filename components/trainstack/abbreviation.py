"""Long lists in messages: the first of them, and how many more there are."""

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
