"""One kind of change: what is edited, what preview says of it, and what `up` then trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from _pytest.mark import ParameterSet
from tests.changes.stack import Stack

MOVED = "--of ID → ID"
"""What the second run says when the first one gets another id, whatever that is."""

Edit = Callable[[Stack], object]


@dataclass(frozen=True)
class Change:
    """A row of the table.

    Attributes:
        name: The kind, in a few words; it is the test's name.
        edit: What is done to the finished stack.
        fit: Why the first run would train again; empty when it stays.
        report: Why the second run would, which is told the first one's id; by default it follows the first.
        adopts: Runs that are taken from the workspace though their resource changes.
        follows: Other resources that change (`Model line`); a retrained `fit` brings its model along.
        trains: Names of the runs that `up` trains; by default those that preview names.
        new: Runs that the stack did not have.
        settled: Whether a preview after `up` shows no change.
    """

    name: str
    edit: Edit
    fit: tuple[str, ...] = ()
    report: tuple[str, ...] | None = None
    adopts: frozenset[str] = frozenset()
    follows: tuple[str, ...] = ()
    trains: frozenset[str] | None = None
    new: tuple[str, ...] = ()
    settled: bool = True

    def runs(self) -> dict[str, list[str]]:
        """Reasons by run, of the runs that preview says would train."""
        report = self.report
        if report is None:
            report = (MOVED,) if self.fit else ()
        reasons = {"fit": list(self.fit), "report": list(report)}
        reasons |= {name: ["there is no such run in the stack yet"] for name in self.new}
        return {name: lines for name, lines in reasons.items() if lines and name not in self.adopts}

    def followers(self) -> set[str]:
        """The other resources that change."""
        return {*self.follows, *(("Model line",) if self.fit and "fit" not in self.adopts else ())}

    def trained(self) -> set[str]:
        return set(self.runs()) if self.trains is None else set(self.trains)


def edits(*steps: Edit) -> Edit:
    """Several edits, one after another."""

    def run(stack: Stack) -> None:
        for step in steps:
            step(stack)

    return run


def program(old: str, new: str) -> Edit:
    """Other text in the program."""
    return lambda stack: stack.replace(old, new)


def text(name: str, content: str) -> Edit:
    """A file's whole content, new or written over."""

    def run(stack: Stack) -> None:
        path = stack.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    return run


def data(name: str, content: bytes) -> Edit:
    def run(stack: Stack) -> None:
        path = stack.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return run


def gone(name: str) -> Edit:
    return lambda stack: (stack.source / name).unlink()


def renamed(name: str, to: str) -> Edit:
    return lambda stack: (stack.source / name).rename(stack.source / to)


def rows(kinds: Sequence[Change]) -> list[ParameterSet]:
    """The kinds as parameters of a test: each sixth runs always, the others with `--long`."""
    return [
        pytest.param(change, id=change.name, marks=[pytest.mark.long] if number % 6 else [])
        for number, change in enumerate(kinds)
    ]
