"""One run on an MLflow server: parameters, tags, datasets, metrics as they come, stages, files, attempts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from trainstack.core.history import artifact_links
from trainstack.core.history.logged_runs import NOTE, PARENT
from trainstack.core.history.mlflow_sweep import find_or_create
from trainstack.core.history.script_log import ScriptLog
from trainstack.core.runs import cost
from trainstack.core.runs.attempts import PastAttempt, past_attempts
from trainstack.core.runs.diff import seconds
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.request import RunRequest
from trainstack.core.sweeps.record import SweepDirectory
from trainstack.errors import NotFoundError
from trainstack.mlflow import metric_files
from trainstack.mlflow.metric_files import NewPoints
from trainstack.mlflow.rest_client import TrackingServer

RUN_TAG = "trainstack.run_id"
ATTEMPT_TAG = "trainstack.attempt_of"
UNTOLD_TAG = "trainstack.untold"
"""Tag of a run with what its history could not be told."""
_STATUS = {
    Status.PREPARING: "SCHEDULED",
    Status.SCALING: "SCHEDULED",
    Status.RUNNING: "RUNNING",
    Status.FINALIZING: "RUNNING",
    Status.COMPLETED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.CANCELED: "KILLED",
    Status.INTERRUPTED: "KILLED",
}
# The folders of a run that become artifacts.
_ARTIFACT_FOLDERS = ("code", "outputs", "logs")


class MlflowRun:
    """Keeps a run of the server equal to the run directory."""

    def __init__(
        self, server: TrackingServer, experiment: str, directory: RunDirectory, artifacts: Path | None
    ) -> None:
        """Find the run on the server, or create it.

        Args:
            server: The server.
            experiment: The experiment's id.
            directory: The run.
            artifacts: The server's folder of artifacts, where files can be linked into it.

        Raises:
            NotFoundError: There is no such run directory.
            TrackingError: The server does not answer.
        """
        self._server = server
        self._experiment = experiment
        self._directory = directory
        self._request: RunRequest = directory.request() if directory.exists() else _gone(directory)
        record = directory.read()
        self._id = self._find_or_create(RUN_TAG, directory.id, record.name, record.created)
        self._artifacts = artifacts / experiment if artifacts else None
        arguments = frozenset(_arguments(self._request))
        self._logged = ScriptLog(server, experiment, directory, self._id, arguments)
        self._system_points: dict[int, NewPoints] = {}
        self._status = ""
        self._logged_tags: dict[str, str] = {}
        self._describe(record)

    def sync(self) -> bool:
        """Mirror what is new.

        Returns:
            Whether the run has ended, so that nothing more will come.

        Raises:
            NotFoundError: The run directory is gone.
            TrackingError: The server does not answer.
        """
        record = self._directory.read()
        status, past = _STATUS[record.status], past_attempts(self._directory)
        self._logged.sync(past, status)
        self._sync_system_metrics()
        self._sync_tags(record)
        for attempt in past:
            self._sync_attempt(attempt)
        self._link()
        # Last, so that a reader who sees the end sees everything before it.
        if status != self._status:
            self._server.set_status(self._id, status, record.updated if record.status.ended else None)
            self._status = status
        return record.status.ended

    def _find_or_create(self, tag: str, value: str, name: str, started: float, **tags: str) -> str:
        run = self._server.find_run(self._experiment, tag, value)
        return run or self._server.create_run(self._experiment, name, started, {tag: value, **tags})

    def _describe(self, record: RunRecord) -> None:
        """Log the run's arguments, data and code, which never change."""
        request = self._request
        spec = request.spec
        self._server.log(self._id, params=_arguments(request))
        for name, digest in spec.datasets.items():
            reference = request.datasets.get(name)
            dataset = f"{reference.name}:{reference.version}" if reference else f"{name}:?"
            self._server.log_dataset(self._id, name=dataset, digest=digest, source=f"trainstack:dataset/{dataset}")
        tags = {f"trainstack.{name}": value for name, value in record.tags.items() if f"trainstack.{name}" != RUN_TAG}
        tags |= {
            "mlflow.source.name": spec.program,
            "mlflow.source.type": "LOCAL",
            "trainstack.fingerprint": spec.fingerprint,
            "trainstack.environment": f"{request.environment.spec.name} {spec.environment.digest}",
            "trainstack.distribution": str(spec.distribution.get("kind", "")),
            "trainstack.compute": request.compute.name,
            "trainstack.directory": str(self._directory.root),
        }
        if "user" in record.tags:
            tags["mlflow.user"] = record.tags["user"]
        if "commit" in record.tags:
            tags["mlflow.source.git.commit"] = record.tags["commit"]
        if "sweep" in record.tags:
            sweep = SweepDirectory(self._directory.root.parents[1] / "sweeps" / record.tags["sweep"])
            with contextlib.suppress(NotFoundError):
                tags[PARENT] = find_or_create(self._server, self._experiment, sweep)
        for name, reference in request.datasets.items():
            tags[f"trainstack.dataset.{name}"] = f"version {reference.version}"
        self._server.log(self._id, tags=tags)

    def _sync_tags(self, record: RunRecord) -> None:
        tags = {
            "trainstack.status": record.status.value,
            "trainstack.reason": record.reason,
            "trainstack.attempt": str(record.attempt),
            NOTE: "\n\n".join(filter(None, [self._logged.note, _note(self._directory, record)])),
        }
        if record.status.ended:
            spent = cost.so_far(record, self._request)
            tags["trainstack.node_seconds"] = f"{spent.node_seconds:.1f}"
            if spent.amount is not None:
                tags["trainstack.cost"] = f"{spent.amount:.6f} {spent.currency}"
        if self._logged.refused:
            tags[UNTOLD_TAG] = "; ".join(self._logged.refused)
        for stage in record.stages:
            if stage.ended is not None:
                tags[f"trainstack.stage.{stage.name.value}"] = f"{stage.seconds:.1f} s"
        changed = {name: value for name, value in tags.items() if self._logged_tags.get(name) != value}
        if changed:
            self._server.log(self._id, tags=changed)
            self._logged_tags.update(changed)

    def _sync_system_metrics(self) -> None:
        """Mirror the agents' system metrics, those of several nodes under the nodes' names, as MLflow does."""
        for node_run in metric_files.system_metrics(self._directory.tracking):
            node = node_run.rank
            points = self._system_points.setdefault(node, NewPoints(node_run.folder)).points()
            if node:
                points = [(name.replace("system/", f"system/node-{node}/", 1), point) for name, point in points]
            if points:
                self._server.log(self._id, metrics=points)

    def _sync_attempt(self, attempt: PastAttempt) -> None:
        """Mirror a failed or killed attempt as a child run."""
        value = f"{self._directory.id}/{attempt.number}"
        key = f"attempt {attempt.number}"
        if key in self._logged_tags:
            return
        run = self._find_or_create(ATTEMPT_TAG, value, key, attempt.started, **{PARENT: self._id})
        self._server.log(run, tags={"trainstack.reason": attempt.reason})
        self._server.set_status(run, "KILLED" if attempt.killed else "FAILED", attempt.ended)
        self._logged_tags[key] = attempt.reason

    def _link(self) -> None:
        """Make the run's files artifacts, where the server takes them from a folder here."""
        if self._artifacts is not None:
            for source, target in self._files():
                artifact_links.link(source, self._artifacts / target, self._logged.ids)

    def _files(self) -> Iterator[tuple[Path, PurePosixPath]]:
        """Yield each file, and its path among the experiment's artifacts."""
        for folder in _ARTIFACT_FOLDERS:
            yield from artifact_links.files(self._directory.root / folder, PurePosixPath(self._id, "artifacts", folder))
        yield from self._logged.files()


def _gone(directory: RunDirectory) -> RunRequest:
    directory.read()
    return directory.request()


def _arguments(request: RunRequest) -> dict[str, str]:
    arguments = request.spec.arguments
    if isinstance(arguments, list):
        return {"arguments": " ".join(arguments)}
    values = {name.lstrip("-") or name: value for name, value in arguments.items()}
    return {name: " ".join(value) if isinstance(value, list) else str(value) for name, value in values.items()}


def _note(directory: RunDirectory, record: RunRecord) -> str:
    """Return the description on the run's page."""
    rows = [
        f"| {stage.name.value} | {seconds(stage.seconds) if stage.ended else '…'} | {stage.reason} |"
        for stage in record.stages
    ]
    text = f"`trainstack runs show {record.id}`, in `{directory.root}`"
    return "\n".join([text, "", "| stage | took | reason |", "|---|---|---|", *rows]) if rows else text
