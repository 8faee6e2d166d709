"""What a change would retrain, and why, in words: compares two sets of a run's properties. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainstack.abbreviation import abbreviated
from trainstack.core.runs import change_lines
from trainstack.core.runs.change_lines import UNKNOWN, as_mapping
from trainstack.core.runs.fields import COUNTED, compared_property


def comparable(properties: Mapping[str, Any], unknown: str) -> dict[str, Any]:
    """The fields of a run that decide its result, in the form that is compared: content, never names of places.

    Args:
        properties: A training run's inputs or outputs.
        unknown: What stands for a value that is not known yet.
    """
    marked = {name: _plain(properties.get(name), unknown) for name in COUNTED if properties.get(name) is not None}
    return {name: _plain(compared_property(name, marked), unknown) for name in COUNTED}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say what differs.

    Args:
        old: The run that there is, as `comparable` gives it.
        new: The run that its inputs describe now.

    Returns:
        A line a difference, by field; empty when the run stays.
    """
    differences: dict[str, list[str]] = {}
    for name, field in COUNTED.items():
        before, after = old.get(name), new.get(name)
        if field.within:
            both = as_mapping(old.get(field.within)).keys() & as_mapping(new.get(field.within)).keys()
            before, after = ([entry for entry in entries or () if entry in both] for entries in (before, after))
        if before != after and (lines := field.lines(name, before, after)):
            differences[name] = lines
    return differences


def moves(old: Mapping[str, Any], new: Mapping[str, Any], unknown: str) -> dict[str, list[str]]:
    """Say that a run goes to another workspace, which counts for no fingerprint: it may be finished there, or not.

    Args:
        old: Its outputs so far.
        new: Its inputs now.
        unknown: What stands for a value that is not known yet.

    Returns:
        The line, by field; empty when it stays.
    """
    before, after = (_plain(properties.get("workspace"), unknown) for properties in (old, new))
    return {"workspace": change_lines.scalar("workspace", before, after)} if before and before != after else {}


def reason_line(
    differences: Mapping[str, list[str]], duration: float | None, verb: str = "will retrain", estimate: str = ""
) -> str:
    """The one line that preview shows: what will be trained again and why, what that took last time and is to cost."""
    lines = [line for lines in differences.values() for line in lines]
    last = f"; last run took {seconds(duration)}" if duration is not None else ""
    last += f", about {estimate}" if estimate else ""
    return f"{verb}: {abbreviated(lines, separator='; ')}{last}"


def seconds(duration: float) -> str:
    """A duration for people: `42 s`, `3 min 10 s`, `2 h 5 min`."""
    whole = round(duration)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _plain(value: Any, unknown: str) -> Any:
    """Whole floats as integers (Pulumi knows floats alone), nothing for empty, a mark for what is unknown."""
    if value == unknown:
        return UNKNOWN
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(item, unknown) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item, unknown) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return "" if value is None else value
