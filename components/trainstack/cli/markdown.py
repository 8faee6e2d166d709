"""Markdown with foreign names and values in it, escaped: none becomes a link, a mention or a table row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# GitHub takes 65,536 characters in a comment, GitLab a million.
LIMIT = 60_000


def code(value: object) -> str:
    """Format a value as a code span, safe in a table too."""
    text = " ".join(str(value).split()) or " "
    text = text if len(text) <= 300 else f"{text[:299]}…"
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    # A table's cells are parted before its code spans are found.
    return f"{fence}{space}{text}{space}{fence}".replace("|", r"\|")


def words(value: str) -> str:
    """Escape prose that contains foreign names."""
    text = re.sub(r"([\\`*_\[\]()|#!~])", r"\\\1", " ".join(value.split()))
    # A joiner of no width keeps an at sign from calling somebody, an address from becoming a link.
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u2060")
    return text.replace("://", ":\u2060//").replace("www.", "www\u2060.")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines; the cells are Markdown."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def limited(lines: Sequence[str]) -> str:
    """The lines as one text, cut where a comment would be refused."""
    included: list[str] = []
    size = 0
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > LIMIT:
            return "\n".join([*included, "", f"… and {len(lines) - number} lines more: see `trainstack plan`"])
        included.append(line)
    return "\n".join(included)
