"""Times and sizes, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def iso(moment: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(moment: str | None) -> str:
    """An ISO 8601 time as date and time of this machine's zone; empty for none."""
    if not moment:
        return ""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def took(seconds: float | None) -> str:
    """A duration in seconds for people; empty for none."""
    if seconds is None:
        return ""
    from trainstack.core.runs.diff import seconds as worded

    return f"{seconds:.1f} s" if seconds < 10 else worded(seconds)


def size(count: int) -> str:
    """Bytes for people, in powers of 1000."""
    from rich.filesize import decimal

    return decimal(count)


def number(value: float) -> str:
    """A metric's value for people."""
    return f"{value:.6g}"


def tags(values: Mapping[str, str]) -> str:
    """Tags in one line."""
    return ", ".join(f"{name}={value}" for name, value in values.items())
