"""A run's history, `events.jsonl`, and the record that can be told from it when `run.json` is damaged."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from trainstack.core.properties import as_mapping
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.workspace.inside_name import leads_out

FILE = "events.jsonl"
DATA_EVENT = "data"
"""How an attempt was given a dataset that stays in an object store."""


def read_events(folder: Path) -> list[dict[str, Any]]:
    """A run's events; a line that a full disk or a kill cut short is left out.

    Args:
        folder: The run directory.
    """
    entries: list[dict[str, Any]] = []
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return entries
    for line in lines:
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and "kind" in event:
            entries.append(event)  # pyright: ignore[reportUnknownArgumentType]
    return entries


def record_from_events(folder: Path) -> RunRecord | None:
    """Tell a run's record from its history, while nobody drives it.

    A completed run is complete, since the last line of its history has the digests of its outputs. A run whose end
    the history does not tell reads as interrupted, and goes on with its checkpoint.

    Args:
        folder: The run directory.

    Returns:
        The record; None where there is no history.
    """
    events = read_events(folder)
    if not events:
        return None
    now = time.time()
    record = RunRecord(
        id=folder.name,
        name=folder.name,
        status=Status.PREPARING,
        reason="its record was damaged",
        created=moment(events[0].get("time"), now),
        updated=moment(events[-1].get("time"), now),
    )
    for event in events:
        attempt = event.get("attempt")
        if isinstance(attempt, int):
            record.attempt = max(record.attempt, attempt)
        if event["kind"] == "submitted":
            record.name, record.tags = str(event.get("name", record.name)), as_mapping(event.get("tags")) or {}
        elif event["kind"] == "stage":
            record.status, record.reason = Status.PREPARING, "its record was damaged"
        elif event["kind"] == "end":
            _apply_end(record, event)
    if not record.status.ended and record.attempt:
        record.status = Status.INTERRUPTED
    return record


def moment(text: Any, otherwise: float) -> float:
    """Seconds since the epoch of an event's time; `otherwise` where it has none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return otherwise


def _apply_end(record: RunRecord, event: dict[str, Any]) -> None:
    record.node_seconds, record.cost = event.get("node_seconds"), event.get("cost")
    record.earlier_node_seconds, record.currency = record.node_seconds or 0.0, str(event.get("currency") or "")
    outputs = as_mapping(event.get("outputs"))
    if outputs is not None and not any(map(leads_out, outputs)):
        record.status, record.reason = Status.COMPLETED, ""
        record.outputs, record.metrics = outputs, event.get("metrics") or {}
        record.duration = event.get("duration")
    elif event.get("status") in (Status.FAILED, Status.CANCELED):
        record.status, record.reason = Status(event["status"]), str(event.get("reason", ""))
