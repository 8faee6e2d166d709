"""The words of the reason line: what differs between two values of a run's field, a line a difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Lines = Callable[[str, Any, Any], list[str]]
"""Takes the field's name, the value before and the value after."""
UNKNOWN = "\0unknown"
"""Stands for what preview does not know yet, in compared values; no argument or variable can hold its NUL."""


def scalar(name: str, before: Any, after: Any) -> list[str]:
    """One line with both values."""
    return [f"{name} may change" if is_unknown(after) else f"{name} {_text(before)} → {_text(after)}"]


def names(label: str) -> Lines:
    """Lines over two mappings that name what differs and leave the values out.

    Args:
        label: What a line begins with; `{name}` stands for the entry's name.
    """
    return lambda _, before, after: compare_mappings(before, after, label, values=False)


def items(label: str) -> Lines:
    """Lines over two mappings that show both values.

    Args:
        label: What a line begins with; `{name}` stands for the entry's name.
    """
    return lambda _, before, after: compare_mappings(before, after, label)


def members(label: str) -> Lines:
    """Lines over two lists of names.

    Args:
        label: What a line begins with; `{name}` stands for the member.
    """
    return lambda _, before, after: compare_mappings(
        dict.fromkeys(before or (), ""), dict.fromkeys(after or (), ""), label
    )


def modes(_name: str, before: Any, after: Any) -> list[str]:
    """Lines over two lists of the files that are programs, with modes as git writes them."""
    old, new = set(before or ()), set(after or ())
    return [f"mode of {name} {'644 → 755' if name in new else '755 → 644'}" for name in sorted(old ^ new)]


def arguments(name: str, before: Any, after: Any) -> list[str]:
    """Lines over a script's arguments, which are a mapping or a list."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return compare_mappings(before, after, "{name}")
    return scalar(name, before, after)


def environment(_name: str, before: Any, after: Any) -> list[str]:
    """Lines over two environments: Python, packages, variables, image."""
    old, new = as_mapping(before), as_mapping(after)
    lines = packages(old.get("packages"), new.get("packages"))
    lines += compare_mappings(old.get("variables"), new.get("variables"), "environment variable {name}")
    lines += compare_mappings(old.get("files"), new.get("files"), "{name} of the image", values=False)
    if old.get("image") and new.get("image") and old["image"] != new["image"]:
        lines.append(f"image {_text(old['image'])} → {_text(new['image'])}")
    if old.get("python") != new.get("python"):
        lines.insert(0, f"Python {_text(old.get('python'))} → {_text(new.get('python'))}")
    if not lines and old.get("digest") != new.get("digest"):
        lines.append("environment may change" if new.get("digest") in (UNKNOWN, None) else "environment changed")
    return lines


def datasets(_name: str, before: Any, after: Any) -> list[str]:
    """Lines over datasets by name: which of their files changed, where both lists of files are known."""
    old, new = as_mapping(before), as_mapping(after)
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            lines.append(f"dataset {name} {'added' if name in new else 'removed'}")
            continue
        earlier, later = as_mapping(old[name]), as_mapping(new[name])
        if earlier.get("digest") == later.get("digest"):
            continue
        files = compare_mappings(earlier.get("files"), later.get("files"), f"dataset {name}: {{name}}", values=False)
        if is_unknown(later.get("digest")):
            lines.append(f"dataset {name} may change")
        elif files and earlier.get("files") and later.get("files"):
            lines += files
        else:
            lines.append(f"dataset {name} changed")
    return lines


def packages(before: Any, after: Any) -> list[str]:
    """Lines over two mappings of package names to versions."""
    return compare_mappings(before, after, "package {name}")


def compare_mappings(before: Any, after: Any, label: str, *, values: bool = True) -> list[str]:
    """Say which entries of two mappings were added, removed or changed.

    Args:
        before: The mapping before; anything else counts as empty.
        after: The mapping after.
        label: What a line begins with; `{name}` stands for the entry's name.
        values: Whether lines show the values.
    """
    old, new = as_mapping(before), as_mapping(after)
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        subject = label.format(name=name)
        if name not in new:
            lines.append(f"{subject} removed")
        elif name not in old:
            shows = values and new[name] and not is_unknown(new[name])
            lines.append(f"{subject} added" + (f" ({_text(new[name])})" if shows else ""))
        elif old[name] != new[name]:
            if is_unknown(new[name]):
                lines.append(f"{subject} may change")
            elif values:
                lines.append(f"{subject} {' → '.join(_texts(old[name], new[name]))}")
            else:
                lines.append(f"{subject} changed")
    return lines


def as_mapping(value: Any) -> dict[str, Any]:
    """The value as a mapping; an empty one where it is something else."""
    return dict(value) if isinstance(value, Mapping) else {}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def is_unknown(value: Any) -> bool:
    """Whether a value, or one in a list, is not known yet."""
    if isinstance(value, list | tuple):
        return any(map(is_unknown, value))  # pyright: ignore[reportUnknownArgumentType]
    return value == UNKNOWN


def _texts(before: Any, after: Any) -> tuple[str, str]:
    """Both values as text, in quotes where their types differ or one is empty: `True → "True"`, `1 2 → "1 2"`."""
    alike = isinstance(before, str) == isinstance(after, str)
    return _value_text(before, alike), _value_text(after, alike)


def _value_text(value: Any, plain: bool) -> str:
    return _text(value) if not isinstance(value, str) or (plain and value) else json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value) if value not in ("", None) else "none"
