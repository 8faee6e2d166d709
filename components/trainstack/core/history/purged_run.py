"""Removes from an MLflow server what it has of a run that was purged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from trainstack.core.history import refusals
from trainstack.core.history.logged_runs import LOGGED_TAG
from trainstack.core.history.mlflow_run import ATTEMPT_TAG, RUN_TAG
from trainstack.mlflow.rest_client import TrackingServer


def remove(server: TrackingServer, experiment: str, run_id: str, artifacts: Path | None) -> None:
    """Remove the page's run, its child runs, and the models and traces that its script logged.

    Versions that the script registered stay: others may have aliases on them.

    Args:
        server: The server.
        experiment: The experiment's id.
        run_id: The id of the purged run.
        artifacts: The server's folder of artifacts, where that is on this machine.

    Raises:
        TrackingError: The server does not answer.
    """
    folder = artifacts / experiment if artifacts is not None else None
    for condition in (
        f"tags.`{LOGGED_TAG}` LIKE '{run_id}/%'",
        f"tags.`{ATTEMPT_TAG}` LIKE '{run_id}/%'",
        f"tags.`{RUN_TAG}` = '{run_id}'",
    ):
        while runs := _search(server, "runs/search", "runs", experiment_ids=[experiment], filter=condition):
            for run in runs:
                server.post("runs/delete", run_id=run["info"]["run_id"])
                _remove_files(folder, run["info"]["run_id"])
    # An older server has no models and traces.
    refusals.attempt("models", lambda: _remove_models(server, experiment, run_id, folder))
    refusals.attempt("traces", lambda: _remove_traces(server, experiment, run_id, folder))


def _remove_models(server: TrackingServer, experiment: str, run_id: str, folder: Path | None) -> None:
    condition = f"tags.`{LOGGED_TAG}` LIKE '{run_id}/%'"
    while models := _search(server, "logged-models/search", "models", experiment_ids=[experiment], filter=condition):
        for model in models:
            server.call("DELETE", f"logged-models/{model['info']['model_id']}")
            _remove_files(folder, "models", model["info"]["model_id"])


def _remove_traces(server: TrackingServer, experiment: str, run_id: str, folder: Path | None) -> None:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    condition = f"tags.`{RUN_TAG}` = '{run_id}'"
    while traces := _search(server, "/api/3.0/mlflow/traces/search", "traces", locations=[place], filter=condition):
        ids = [trace["trace_id"] for trace in traces]
        server.post("traces/delete-traces", experiment_id=experiment, request_ids=ids)
        for trace in ids:
            _remove_files(folder, "traces", trace)


def _search(server: TrackingServer, call: str, kind: str, **query: Any) -> list[dict[str, Any]]:
    response: list[dict[str, Any]] = server.post(call, max_results=50, **query).get(kind, [])
    return response


def _remove_files(folder: Path | None, *parts: str) -> None:
    if folder is not None:
        shutil.rmtree(folder.joinpath(*parts), ignore_errors=True)
