"""The result of one of the doctor's checks."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.StrEnum):
    """The state that a check reports; `broken` means that something which is needed does not work."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        name: What was checked.
        state: The state that it is in.
        detail: What the check saw, in one line.
        advice: What to do about it; empty when all is well.
    """

    name: str
    state: State
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Check:
    """Make a check that passed."""
    return Check(name, State.OK, detail)


def warning(name: str, detail: str, advice: str) -> Check:
    """Make a check of something that will be missed sooner or later."""
    return Check(name, State.WARNING, detail, advice)


def broken(name: str, detail: str, advice: str = "") -> Check:
    """Make a check of something that is needed and does not work."""
    return Check(name, State.BROKEN, detail, advice)
