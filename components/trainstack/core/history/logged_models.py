"""Models that a script logged by `log_model` of MLflow 3, on an MLflow server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from trainstack.core.history import artifact_links
from trainstack.core.history.client_ids import ClientIds
from trainstack.core.history.logged_runs import LOGGED_TAG, OURS
from trainstack.core.history.refusals import Refusals
from trainstack.core.runs.directory import RunDirectory
from trainstack.mlflow import logged_files
from trainstack.mlflow.logged_files import LoggedModel
from trainstack.mlflow.metric_files import NewPoints, Point
from trainstack.mlflow.rest_client import TrackingServer

_PARAMS = 100
"""Parameters that MLflow takes in one call."""


class LoggedModels:
    """Keeps a server's logged models equal to those of a run's scripts."""

    def __init__(self, server: TrackingServer, experiment: str, directory: RunDirectory, ids: ClientIds) -> None:
        self._server, self._experiment, self._directory, self._ids = server, experiment, directory, ids
        self._points: dict[str, NewPoints] = {}
        self._models: list[LoggedModel] = []
        self._sent: dict[str, dict[str, str]] = {}
        self._finished: dict[str, str] = {}
        self._left: set[str] = set()
        self.refused = Refusals()

    def place(self) -> None:
        """Find the models on the server, or make them.

        Raises:
            TrackingError: The server does not answer.
        """
        self._models = logged_files.logged_models(self._directory.tracking)
        for model in self._models:
            if model.id in self._ids.models or model.id in self._left or not model.about or model.deleted:
                continue
            if not self.refused.attempt(_what(model), partial(self._find_or_create, model)):
                self._left.add(model.id)

    def sync(self) -> None:
        """Mirror what is new of each.

        Raises:
            TrackingError: The server does not answer.
        """
        for model in self._models:
            if model.id in self._ids.models and self._finished.get(model.id) != "deleted":
                self._sync(model, self._ids.models[model.id])

    def files(self) -> Iterator[tuple[Path, PurePosixPath]]:
        """Yield each file of the models, and its path among the artifacts of the server's experiment."""
        for model in self._models:
            if (known := self._ids.models.get(model.id)) and not model.deleted:
                yield from artifact_links.files(model.artifacts, PurePosixPath("models", known, "artifacts"))

    def _find_or_create(self, model: LoggedModel) -> None:
        value = f"{self._directory.id}/{model.id}"
        response = self._server.post(
            "logged-models/search", experiment_ids=[self._experiment], filter=f"tags.`{LOGGED_TAG}` = '{value}'"
        )
        models: list[dict[str, Any]] = response.get("models", [])
        if models:
            self._ids.models[model.id] = str(models[0]["info"]["model_id"])
            return
        about = {"name": model.about["name"], "model_type": model.about.get("model_type") or ""}
        if run := self._ids.runs.get(str(model.about.get("source_run_id"))):
            about["source_run_id"] = run
        tags = [{"key": LOGGED_TAG, "value": value}]
        made = self._server.post("logged-models", experiment_id=self._experiment, tags=tags, **about)
        self._ids.models[model.id] = str(made["model"]["info"]["model_id"])

    def _sync(self, model: LoggedModel, known: str) -> None:
        sent, address = self._sent.get(model.id, {}), f"logged-models/{known}"
        tags = {name: self._ids.translate(text) for name, text in model.tags.items() if not name.startswith(OURS)}
        values = {f"tag {name}": text for name, text in tags.items()}
        values |= {f"param {name}": text for name, text in model.params.items()}
        changed = {what: text for what, text in values.items() if sent.get(what) != text}
        params, changed_tags = _pairs(changed, "param "), _pairs(changed, "tag ")
        for start in range(0, len(params), _PARAMS):
            self._tell(model, "POST", f"{address}/params", model_id=known, params=params[start : start + _PARAMS])
        if changed_tags:
            self._tell(model, "PATCH", f"{address}/tags", model_id=known, tags=changed_tags)
        for name in [what.removeprefix("tag ") for what in sent.keys() - values.keys() if what.startswith("tag ")]:
            self._tell(model, "DELETE", f"{address}/tags/{name}")
        self._sent[model.id] = values
        self._sync_metrics(model, known)
        if model.deleted:
            self._tell(model, "DELETE", address)
            self._finished[model.id] = "deleted"
        elif model.status and self._finished.get(model.id) != model.status:
            self._tell(model, "PATCH", address, model_id=known, status=model.status)
            self._finished[model.id] = model.status

    def _sync_metrics(self, model: LoggedModel, known: str) -> None:
        points = self._points.setdefault(model.id, NewPoints(model.folder)).points()
        by_run: dict[str, list[tuple[str, Point]]] = {}
        for name, point in points:
            if point.context and point.context[0] in self._ids.runs:
                by_run.setdefault(self._ids.runs[point.context[0]], []).append((name, point))
        for run, part in by_run.items():
            self.refused.attempt(_what(model), partial(self._server.log_model_metrics, run, known, part))

    def _tell(self, model: LoggedModel, method: str, address: str, **body: Any) -> None:
        self.refused.attempt(_what(model), partial(self._server.call, method, address, **body))


def _what(model: LoggedModel) -> str:
    return f"model {model.about.get('name')}"


def _pairs(values: dict[str, str], kind: str) -> list[dict[str, str]]:
    return [{"key": what.removeprefix(kind), "value": text} for what, text in values.items() if what.startswith(kind)]
