"""Write a run's record anew when `run.json` is damaged or gone, from what else the run directory holds."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.request import RunRequest
from trainstack.errors import NotFoundError, TrainstackError


def recovered(directory: RunDirectory, request: RunRequest) -> tuple[RunRecord, str]:
    """Move a damaged record aside and write it anew. Only where nobody drives the run.

    A completed run is completed again, since the last line of its history has the digests of its outputs. Any other
    goes on as an interrupted one, with its checkpoint.

    Args:
        directory: The run.
        request: What is being submitted: gives the name, where the history does not.

    Returns:
        The new record, and what was done, in one line.
    """
    damaged = directory.root / "run.json"
    aside = next(
        path for number in range(1, 10_000) if not (path := damaged.with_name(f"run.json.damaged-{number}")).exists()
    )
    if damaged.exists():
        damaged.replace(aside)
    record = _from_history(directory, request)
    directory.write(record)
    note = f"run.json was damaged and is kept as {aside.name}; "
    note += "written anew, complete" if record.status is Status.COMPLETED else "the run goes on with what it has saved"
    directory.event("recovered", note=note)
    return record, note


def is_damaged(directory: RunDirectory) -> bool:
    """Whether there is a record that cannot be read, or a history without one."""
    try:
        directory.read()
    except NotFoundError:
        return any(event["kind"] == "stage" for event in events(directory))
    except TrainstackError:
        return True
    return False


def _from_history(directory: RunDirectory, request: RunRequest) -> RunRecord:
    now = time.time()
    record = RunRecord(
        id=directory.id,
        name=request.name,
        status=Status.PREPARING,
        reason="its record was damaged",
        created=now,
        updated=now,
        tags=request.tags,
    )
    for event in events(directory):
        attempt = event.get("attempt")
        if event["kind"] == "submitted":
            record.created = min(record.created, moment(event.get("time"), now))
        if isinstance(attempt, int):
            record.attempt = max(record.attempt, attempt)
        if event["kind"] == "stage":
            record.status = Status.PREPARING
        elif event["kind"] == "end" and isinstance(event.get("outputs"), dict):
            record.status, record.reason = Status.COMPLETED, ""
            record.outputs, record.metrics = event["outputs"], event.get("metrics") or {}
            record.duration = event.get("duration")
    if record.status is not Status.COMPLETED and record.attempt:
        record.status = Status.INTERRUPTED
    return record


def events(directory: RunDirectory) -> list[dict[str, Any]]:
    """The run's events; a line that a full disk or a kill cut short is left out."""
    entries: list[dict[str, Any]] = []
    try:
        lines = (directory.root / "events.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return entries
    for line in lines:
        try:
            event: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "kind" in event:
            entries.append(event)  # pyright: ignore[reportUnknownArgumentType]
    return entries


def moment(text: Any, otherwise: float) -> float:
    """Seconds since the epoch of an event's time; `otherwise` where it has none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return otherwise
