"""A sweep on an MLflow server: a run whose children are the trials, with the parameters and metric of the best."""

from __future__ import annotations

import os
import time
from pathlib import Path

from trainstack.core.sweeps.record import SweepDirectory
from trainstack.core.sweeps.sweep import progress_line
from trainstack.mlflow.metric_files import Point
from trainstack.mlflow.rest_client import TrackingServer

SWEEP_TAG = "trainstack.sweep_id"
_STATUS = {"running": "RUNNING", "completed": "FINISHED", "failed": "FAILED", "canceled": "KILLED"}


def find_or_create(server: TrackingServer, experiment: str, directory: SweepDirectory) -> str:
    """Return the id of the server's run that represents a sweep, which is created if it is missing."""
    run = server.find_run(experiment, SWEEP_TAG, directory.id)
    if run is not None:
        return run
    record = directory.read()
    return server.create_run(experiment, record.name, record.created, {SWEEP_TAG: directory.id})


def sync(server: TrackingServer, experiment: str, directory: SweepDirectory, artifacts: Path | None) -> None:
    """Mirror a sweep.

    Raises:
        NotFoundError: There is no such sweep.
        TrackingError: The server does not answer.
    """
    record = directory.read()
    run = find_or_create(server, experiment, directory)
    tags = {
        "trainstack.trials": progress_line(record),
        "trainstack.reason": record.reason,
        "mlflow.note.content": f"{progress_line(record)}\n\n`trainstack sweeps show {record.id}`",
    }
    best = record.best_trial
    if best is not None and best.value is not None:
        tags["trainstack.best_run"] = best.run_id
        tags |= {f"best.{name.lstrip('-')}": str(value) for name, value in best.parameters.items()}
        point = Point(int(time.time() * 1000), best.value, record.ended)
        server.log(run, metrics=[(f"best {record.metric}", point)])
    server.log(run, tags=tags)
    if artifacts is not None and directory.plot.is_file():
        target = artifacts / experiment / run / "artifacts" / directory.plot.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(directory.plot, target)
    server.set_status(run, _STATUS[record.status], None if record.status == "running" else record.updated)
