"""What one look of the doctor finds."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.StrEnum):
    """How it is: `broken` means that something which is needed does not work."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        state: How it is.
        found: What was found, in one line.
        advice: What to do about it; empty when all is well.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, State.OK, found)


def warning(name: str, found: str, advice: str) -> Check:
    """Something will be missed sooner or later."""
    return Check(name, State.WARNING, found, advice)


def broken(name: str, found: str, advice: str = "") -> Check:
    """Something that is needed does not work."""
    return Check(name, State.BROKEN, found, advice)
