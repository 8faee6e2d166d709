"""How the files of two versions differ."""

from __future__ import annotations

from collections.abc import Mapping

from trainstack.abbreviation import abbreviated

_SHOWN = 3


def file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the files that changed, were added and were removed, sorted.

    Args:
        before: What stands for each file's content, by path.
        after: The same of the other version.
    """
    return {
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
    }


def in_words(changes: Mapping[str, list[str]]) -> str:
    """Say it in a line: `1 changed (a.png); 2 added (b.png, c.png)`; empty where nothing changed."""
    return "; ".join(
        f"{len(names):,} {kind} ({abbreviated(names, _SHOWN)})" for kind, names in changes.items() if names
    )
