"""Play a kind of change on the real engine: preview says what would train and why, and `up` does just that."""

from __future__ import annotations

import re

from tests.changes.change import Change
from tests.changes.stack import Stack


def play(change: Change, stack: Stack) -> None:
    """Edit the finished stack, and hold what preview and `up` say and do beside the table's row."""
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
    if not change.runs() and not change.followers() and not change.adopts:
        # An update that changes nothing leaves what the preview has seen: another one would say the same.
        assert stack.up("--expect-no-changes") == change.trained()
        return
    assert stack.up() == change.trained()
    if change.settled:
        stack.unchanged()


def _without_ids(line: str) -> str:
    return re.sub(r"\b[0-9a-f]{16}\b", "ID", line)
