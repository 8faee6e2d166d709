"""Kinds of change, each on the real engine: preview says what would train and why, and `up` does just that."""

from __future__ import annotations

import re

import pytest
from tests.changes.change import Change
from tests.changes.kinds_of_code import CODE
from tests.changes.kinds_of_data import DATA
from tests.changes.kinds_of_settings import ARGUMENTS, ENVIRONMENTS, PLACES, SETTINGS, SEVERAL, VARIABLES, WORKSPACES
from tests.changes.stack import Stack

pytestmark = pytest.mark.end_to_end

KINDS = [*CODE, *ARGUMENTS, *VARIABLES, *ENVIRONMENTS, *PLACES, *SETTINGS, *SEVERAL, *DATA, *WORKSPACES]


@pytest.mark.parametrize("change", KINDS, ids=lambda change: change.name)
def test_change(change: Change, stack: Stack) -> None:
    change.edit(stack)
    plan = stack.plan()
    reasons = {
        run["name"]: [_without_ids(line) for line in run["reasons"]] for run in plan["runs"] if not run["adopted"]
    }
    assert reasons == change.runs()
    assert {f"{one['kind']} {one['name']}" for one in plan["downstream"]} == change.followers()
    assert {run["name"] for run in plan["runs"] if run["adopted"]} == change.adopts
    for name, lines in change.runs().items():
        maybe = all(line.endswith("may change") for line in lines)
        [verdict] = [run["verdict"] for run in plan["runs"] if run["name"] == name]
        known = "may retrain" if maybe else "retrains"
        assert verdict == ("trains for the first time" if name in change.new else known)
    assert stack.up() == change.trained()
    if change.settled:
        stack.project.unchanged()


def _without_ids(line: str) -> str:
    return re.sub(r"\b[0-9a-f]{16}\b", "ID", line)
