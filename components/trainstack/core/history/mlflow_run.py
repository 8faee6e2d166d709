"""One run on an MLflow server: parameters, tags, datasets, metrics as they come, stages, files, attempts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from trainstack.core.history.mlflow_sweep import find_or_create
from trainstack.core.runs.attempts import PastAttempt, past_attempts
from trainstack.core.runs.diff import seconds
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.request import RunRequest
from trainstack.core.sweeps.record import SweepDirectory
from trainstack.errors import NotFoundError
from trainstack.mlflow import metric_files
from trainstack.mlflow.metric_files import NewPoints
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage.file_names import is_utf8

RUN_TAG = "trainstack.run_id"
_PARENT = "mlflow.parentRunId"
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
        self._folder = artifacts / experiment / self._id / "artifacts" if artifacts else None
        self._streams: dict[str, tuple[str, NewPoints]] = {}
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
        self._sync_logged()
        self._sync_system_metrics()
        self._sync_tags(record)
        for attempt in past_attempts(self._directory):
            self._sync_attempt(attempt)
        self._link()
        # Last, so that a reader who sees the end sees everything before it.
        if (status := _STATUS[record.status]) != self._status:
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
        tags = {
            "mlflow.source.name": spec.program,
            "mlflow.source.type": "LOCAL",
            "trainstack.fingerprint": spec.fingerprint,
            "trainstack.environment": f"{request.environment.spec.name} {spec.environment.digest}",
            "trainstack.distribution": str(spec.distribution.get("kind", "")),
            "trainstack.compute": request.compute.name,
            "trainstack.directory": str(self._directory.root),
        }
        tags.update({f"trainstack.{name}": value for name, value in record.tags.items()})
        if "user" in record.tags:
            tags["mlflow.user"] = record.tags["user"]
        if "commit" in record.tags:
            tags["mlflow.source.git.commit"] = record.tags["commit"]
        if "sweep" in record.tags:
            sweep = SweepDirectory(self._directory.root.parents[1] / "sweeps" / record.tags["sweep"])
            with contextlib.suppress(NotFoundError):
                tags[_PARENT] = find_or_create(self._server, self._experiment, sweep)
        for name, reference in request.datasets.items():
            tags[f"trainstack.dataset.{name}"] = f"version {reference.version}"
        self._server.log(self._id, tags=tags)

    def _sync_tags(self, record: RunRecord) -> None:
        tags = {
            "trainstack.status": record.status.value,
            "trainstack.reason": record.reason,
            "trainstack.attempt": str(record.attempt),
            "mlflow.note.content": _note(self._directory, record),
        }
        for stage in record.stages:
            if stage.ended is not None:
                tags[f"trainstack.stage.{stage.name.value}"] = f"{stage.seconds:.1f} s"
        changed = {name: value for name, value in tags.items() if self._logged_tags.get(name) != value}
        if changed:
            self._server.log(self._id, tags=changed)
            self._logged_tags.update(changed)

    def _sync_logged(self) -> None:
        """Mirror what the script logged: rank 0's own runs are this run, other ranks and nested runs its children."""
        for logged in metric_files.runs(self._directory.tracking):
            if logged.id not in self._streams:
                self._streams[logged.id] = (self._run_of(logged), NewPoints(logged))
            run, new_points = self._streams[logged.id]
            if points := new_points.points():
                self._server.log(run, metrics=points)

    def _sync_system_metrics(self) -> None:
        """Mirror the agents' system metrics, those of several nodes under the nodes' names, as MLflow does."""
        for node_run in metric_files.system_metrics(self._directory.tracking):
            node = node_run.rank
            points = self._system_points.setdefault(node, NewPoints(node_run)).points()
            if node:
                points = [(name.replace("system/", f"system/node-{node}/", 1), point) for name, point in points]
            if points:
                self._server.log(self._id, metrics=points)

    def _run_of(self, logged: metric_files.LoggedRun) -> str:
        tags = logged.tags
        if logged.rank == 0 and _PARENT not in tags:
            run = self._id
        else:
            name = tags.get("mlflow.runName", logged.id) if _PARENT in tags else f"rank {logged.rank}"
            parent = self._streams[tags[_PARENT]][0] if tags.get(_PARENT) in self._streams else self._id
            value = f"{self._directory.id}/{logged.id}"
            run = self._find_or_create(
                "trainstack.logged", value, name, self._directory.read().created, **{_PARENT: parent}
            )
            self._server.set_status(run, "FINISHED")
        own = {name: value for name, value in tags.items() if not name.startswith("mlflow.")}
        # Of a name that is also an argument the argument's value stays.
        arguments = _arguments(self._request) if run == self._id else {}
        params = {name: value for name, value in logged.params.items() if name not in arguments}
        self._server.log(run, params=params, tags=own)
        return run

    def _sync_attempt(self, attempt: PastAttempt) -> None:
        """Mirror a failed or killed attempt as a child run."""
        value = f"{self._directory.id}/{attempt.number}"
        key = f"attempt {attempt.number}"
        if key in self._logged_tags:
            return
        run = self._find_or_create("trainstack.attempt_of", value, key, attempt.started, **{_PARENT: self._id})
        self._server.log(run, tags={"trainstack.reason": attempt.reason})
        self._server.set_status(run, "KILLED" if attempt.killed else "FAILED", attempt.ended)
        self._logged_tags[key] = attempt.reason

    def _link(self) -> None:
        """Make the run's files artifacts, by hard link, so that no byte is stored twice."""
        if self._folder is None:
            return
        for source, relative in self._files():
            target = self._folder / relative
            with contextlib.suppress(OSError):
                if target.exists():
                    if target.samefile(source):
                        continue
                    target.unlink()
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)

    def _files(self) -> Iterator[tuple[Path, str]]:
        for folder_name in _ARTIFACT_FOLDERS:
            top = self._directory.root / folder_name
            for folder, _, names in os.walk(top):
                for name in names:
                    path = Path(folder, name)
                    relative = path.relative_to(top).as_posix()
                    if not path.is_symlink() and is_utf8(relative):
                        yield path, f"{folder_name}/{relative}"
        for logged in metric_files.runs(self._directory.tracking):
            for path in logged.artifacts.rglob("*"):
                if path.is_file():
                    yield path, path.relative_to(logged.artifacts).as_posix()


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
