"""Traces of a script's calls, on an MLflow server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from trainstack.core.history import refusals
from trainstack.core.history.client_ids import ClientIds
from trainstack.core.history.logged_runs import OURS
from trainstack.core.history.refusals import Refusals
from trainstack.core.runs.directory import RunDirectory
from trainstack.mlflow import logged_files, spans
from trainstack.mlflow.logged_files import Trace
from trainstack.mlflow.rest_client import TrackingServer

_CALL = "/api/3.0/mlflow/traces"
_RUN_TAG = "trainstack.run_id"
# Where spans are is what each server says for itself.
_OF_THE_SERVER = frozenset({"mlflow.artifactLocation", "mlflow.trace.spansLocation"})
_UNFINISHED = "IN_PROGRESS"


class LoggedTraces:
    """Keeps a server's traces equal to those of a run's scripts; their ids are the client's."""

    def __init__(self, server: TrackingServer, experiment: str, directory: RunDirectory, ids: ClientIds) -> None:
        self._server, self._experiment, self._directory, self._ids = server, experiment, directory, ids
        self._sent: dict[str, dict[str, str]] = {}
        self._left: set[str] = set()
        self.refused = Refusals()

    def sync(self) -> None:
        """Mirror what is new.

        Raises:
            TrackingError: The server does not answer.
        """
        for trace in logged_files.traces(self._directory.tracking):
            if trace.id in self._left:
                continue
            if not self.refused.attempt(f"trace {trace.id}", lambda trace=trace: self._sync(trace)):
                self._left.add(trace.id)

    def files(self) -> Iterator[tuple[Path, PurePosixPath]]:
        """Yield the file of each trace's spans, and its path among the artifacts of the server's experiment."""
        for trace in logged_files.traces(self._directory.tracking):
            if trace.id in self._sent and (data := trace.data):
                yield data, PurePosixPath("traces", trace.id, "artifacts", data.name)

    def _sync(self, trace: Trace) -> None:
        if trace.id not in self._sent:
            about = trace.about
            if not about or _state(about) == _UNFINISHED or trace.data is None:
                return
            self._create(trace, about)
            return
        sent = self._sent[trace.id]
        for key, value in _tags(trace).items():
            if sent.get(key) != value:
                self._server.call("PATCH", f"{_CALL}/{trace.id}/tags", key=key, value=value)
                sent[key] = value

    def _create(self, trace: Trace, about: dict[str, Any]) -> None:
        metadata = {name: self._ids.translate(text) for name, text in trace.metadata.items()}
        tags = _tags(trace)
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self._experiment}}
        info = {
            "trace_id": trace.id,
            "trace_location": place,
            "trace_metadata": metadata,
            "tags": {**tags, _RUN_TAG: self._directory.id},
            **_times(about),
        }
        info |= {
            name: about[name] for name in ("request_preview", "response_preview", "client_request_id") if name in about
        }
        # The server adds up what it needs of the spans when it has the trace.
        self._server.post(_CALL, trace={"trace_info": info})
        if document := spans.exported(trace.spans):
            # One before MLflow 3.4 reads the spans from the trace's file.
            refusals.attempt("spans", lambda: self._server.export_spans(self._experiment, document))
        self._sent[trace.id] = tags


def _tags(trace: Trace) -> dict[str, str]:
    return {
        name: value for name, value in trace.tags.items() if name not in _OF_THE_SERVER and not name.startswith(OURS)
    }


def _state(about: dict[str, Any]) -> str:
    return str(about.get("state") or about.get("status") or "")


def _times(about: dict[str, Any]) -> dict[str, Any]:
    """Return when a call began, how long it took and how it ended; MLflow 2 and 3 write them differently."""
    took = about.get("execution_duration_ms", about.get("execution_time_ms"))
    started = about.get("request_time")
    if started is None:
        started = datetime.fromtimestamp(about["timestamp_ms"] / 1000, UTC).isoformat().replace("+00:00", "Z")
    times = {"request_time": str(started), "state": _state(about)}
    return times if took is None else {**times, "execution_duration": f"{int(took) / 1000:g}s"}
