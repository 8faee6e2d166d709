"""What a change would retrain, and why, in words: compares two sets of a run's parts. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The inputs of a run that decide what it computes; any other may change without training anew.
PARTS = (
    "script",
    "files",
    "arguments",
    "datasets",
    "environment",
    "environment_variables",
    "secret_variables",
    "distribution",
    "trigger",
)
UNKNOWN = "?"


def parts(properties: Mapping[str, Any], unknown: str) -> dict[str, Any]:
    """The parts of a run in the form that is compared: content and never names of places.

    Args:
        properties: A training run's inputs or outputs.
        unknown: What stands for a value that is not known yet.
    """
    datasets = _mapping(properties.get("datasets"), unknown)
    secrets = _mapping(properties.get("secret_variables"), unknown)
    found = {name: properties.get(name) for name in PARTS}
    found["datasets"] = {
        name: _mapping(reference, unknown).get("digest", UNKNOWN) for name, reference in datasets.items()
    }
    found["secret_variables"] = sorted(secrets)
    return _plain(found, unknown)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say what differs.

    Args:
        old: Parts of the run that there is.
        new: Parts of the run that is wanted.

    Returns:
        A line a difference, by part; empty when the run stays.
    """
    found: dict[str, list[str]] = {}
    for part in PARTS:
        before, after = old.get(part), new.get(part)
        if before != after and (lines := _lines(part, before, after)):
            found[part] = lines
    return found


def sentence(found: Mapping[str, list[str]], duration: float | None) -> str:
    """The one line that preview shows: what will be retrained and why, and what that took last time."""
    lines = [line for lines in found.values() for line in lines]
    shown = lines[:5] + ([f"and {len(lines) - 5} more"] if len(lines) > 5 else [])
    last = f"; last run took {seconds(duration)}" if duration is not None else ""
    return f"will retrain: {'; '.join(shown)}{last}"


def seconds(duration: float) -> str:
    """A duration for people: `42 s`, `3 min 10 s`, `2 h 5 min`."""
    whole = round(duration)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _lines(part: str, before: Any, after: Any) -> list[str]:
    match part:
        case "files":
            return _named(before, after, "{name}", values=False)
        case "arguments":
            if isinstance(before, dict) and isinstance(after, dict):
                return _named(before, after, "{name}")
            return [f"arguments {_shown(before)} → {_shown(after)}"]
        case "datasets":
            return _named(before, after, "dataset {name}", values=False)
        case "environment":
            return _environment(_dict(before), _dict(after))
        case "environment_variables":
            return _named(before, after, "variable {name}")
        case "secret_variables":
            return _named(dict.fromkeys(before or [], ""), dict.fromkeys(after or [], ""), "secret variable {name}")
        case "distribution":
            return _named(before, after, "distribution {name}")
        case _:
            return [f"{part} {_shown(before)} → {_shown(after)}"]


def _environment(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    lines = _named(before.get("packages"), after.get("packages"), "package {name}")
    lines += _named(before.get("variables"), after.get("variables"), "environment variable {name}")
    lines += _named(before.get("files"), after.get("files"), "{name} of the image", values=False)
    if before.get("image") and after.get("image") and before["image"] != after["image"]:
        lines.append(f"image {_shown(before['image'])} → {_shown(after['image'])}")
    if before.get("python") != after.get("python"):
        lines.insert(0, f"Python {_shown(before.get('python'))} → {_shown(after.get('python'))}")
    if not lines and before.get("digest") != after.get("digest"):
        lines.append("environment may change" if after.get("digest") in (UNKNOWN, None) else "environment changed")
    return lines


def _named(before: Any, after: Any, label: str, *, values: bool = True) -> list[str]:
    """Lines over two mappings; with `values` small ones are shown, without them only that something changed."""
    old, new = _dict(before), _dict(after)
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        subject = label.format(name=name)
        if name not in new:
            lines.append(f"{subject} removed")
        elif name not in old:
            lines.append(f"{subject} added" + (f" ({_shown(new[name])})" if values and new[name] else ""))
        elif old[name] != new[name]:
            if new[name] == UNKNOWN:
                lines.append(f"{subject} may change")
            elif values:
                lines.append(f"{subject} {_shown(old[name])} → {_shown(new[name])}")
            else:
                lines.append(f"{subject} changed")
    return lines


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _mapping(value: Any, unknown: str) -> dict[str, Any]:
    return {} if value == unknown else _dict(value)


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


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value) if value not in ("", None) else "none"
