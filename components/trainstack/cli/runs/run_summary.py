"""A run in short, as lists of runs have it; without the modules that a run's whole description takes."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from trainstack.cli.format import iso
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.mlflow import metric_files as tracking


def summary(directory: RunDirectory, record: RunRecord) -> dict[str, Any]:
    """A run in short, as `runs list` gives it."""
    return {
        "id": record.id,
        "name": record.name,
        "status": record.status.value,
        "reason": record.reason,
        "attempt": record.attempt,
        "created": iso(record.created),
        "updated": iso(record.updated),
        "seconds": _seconds(directory, record),
        "pending_seconds": _pending_seconds(directory, record),
        "metrics": _metrics(directory, record),
        "tags": record.tags,
    }


def stages(directory: RunDirectory, record: RunRecord) -> list[dict[str, Any]]:
    """The stages of a run's latest attempt, each with its seconds so far."""
    last_sign = _last_sign(directory, record) if record.status.ended else time.time()
    return [
        {
            "name": stage.name.value,
            "reason": stage.reason,
            "started": iso(stage.started),
            "ended": iso(stage.ended) if stage.ended is not None else None,
            "seconds": round(max(0.0, (last_sign if stage.ended is None else stage.ended) - stage.started), 3),
        }
        for stage in record.stages
    ]


def _metrics(directory: RunDirectory, record: RunRecord) -> dict[str, float]:
    """The last value of each metric. The record has them once its supervisor has ended the run."""
    if record.metrics or (record.status.ended and record.status is not Status.INTERRUPTED):
        return record.metrics
    return tracking.last(directory.tracking)


def _seconds(directory: RunDirectory, record: RunRecord) -> float | None:
    """How long the latest attempt has been running, as a duration counts; none while it waits for its nodes."""
    if record.duration is not None:
        return record.duration
    running = [stage["seconds"] for stage in stages(directory, record) if stage["name"] == Status.RUNNING]
    return sum(running) if running else None


def _pending_seconds(directory: RunDirectory, record: RunRecord) -> float | None:
    """How long the run has been waiting for its nodes, in a queue say; none where it does not."""
    if record.status is not Status.SCALING:
        return None
    return stages(directory, record)[-1]["seconds"] if record.stages else None


def _last_sign(directory: RunDirectory, record: RunRecord) -> float:
    """When a supervisor that could not say so any more was last alive."""
    with contextlib.suppress(OSError):
        return max(record.updated, (directory.root / "heartbeat").stat().st_mtime)
    return record.updated
