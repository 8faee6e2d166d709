"""The attempts of a run that came to an end before its current one, as its events tell."""

from __future__ import annotations

from dataclasses import dataclass

from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.runs.events import moment, read_events


@dataclass(frozen=True)
class PastAttempt:
    """An attempt that another followed.

    Attributes:
        number: From 1.
        started: Seconds since the epoch.
        ended: Seconds since the epoch, as far as anybody knows.
        reason: Why it ended, in one line.
        killed: Whether something ended it, rather than the script itself.
    """

    number: int
    started: float
    ended: float
    reason: str
    killed: bool


def past_attempts(directory: RunDirectory) -> list[PastAttempt]:
    """The attempts before the current one, oldest first."""
    started: dict[int, float] = {}
    ended: dict[int, float] = {}
    reasons: dict[int, tuple[str, bool]] = {}
    for event in read_events(directory.root):
        number, time = event.get("attempt"), moment(event.get("time"), 0.0)
        if not isinstance(number, int):
            continue
        reason = str(event.get("reason", ""))
        if event["kind"] == "stage":
            started.setdefault(number, time)
            ended[number] = time
        elif event["kind"] == "retry":
            # Its number is that of the attempt to come.
            ended[number - 1] = time
            reasons[number - 1] = (reason, "exited with code" not in reason)
        elif event["kind"] == "end":
            ended[number] = time
            reasons[number] = (reason, event.get("status") != Status.FAILED.value)
    last = max(started, default=0)
    unknown = ("its supervisor was killed", True)
    return [
        PastAttempt(number, started[number], ended[number], *reasons.get(number, unknown))
        for number in sorted(started)
        if number < last
    ]
