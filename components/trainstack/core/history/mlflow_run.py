"""One run as MLflow shows it: parameters, tags, datasets, metrics as they come, stages, files, attempts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from trainstack.core.history.mlflow_sweep import parent
from trainstack.core.runs.attempts import PastAttempt, past_attempts
from trainstack.core.runs.diff import seconds
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.request import RunRequest
from trainstack.core.sweeps.record import SweepDirectory
from trainstack.errors import NotFoundError
from trainstack.mlflow import metric_files
from trainstack.mlflow.metric_files import News
from trainstack.mlflow.rest_client import TrackingServer

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
# What a run leaves for people, as artifacts.
_SHOWN = ("code", "outputs", "logs")


class MirroredRun:
    """Keeps a run of the server like the run directory."""

    def __init__(
        self, server: TrackingServer, experiment: str, directory: RunDirectory, artifacts: Path | None
    ) -> None:
        """Find the run on the server, or make it.

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
        self._id = self._found(RUN_TAG, directory.id, record.name, record.created)
        self._folder = artifacts / experiment / self._id / "artifacts" if artifacts else None
        self._streams: dict[str, tuple[str, News]] = {}
        self._measured: dict[int, News] = {}
        self._status = ""
        self._told_tags: dict[str, str] = {}
        self._describe(record)

    def tell(self) -> bool:
        """Tell what is new.

        Returns:
            Whether the run has ended, so that nothing more will come.

        Raises:
            NotFoundError: The run directory is gone.
            TrackingError: The server does not answer.
        """
        record = self._directory.read()
        self._tell_logged()
        self._tell_measured()
        self._tell_tags(record)
        for attempt in past_attempts(self._directory):
            self._tell_attempt(attempt)
        self._link()
        # Last, so that who sees the end sees all that led to it.
        if (status := _STATUS[record.status]) != self._status:
            self._server.set_status(self._id, status, record.updated if record.status.ended else None)
            self._status = status
        return record.status.ended

    def _found(self, tag: str, value: str, name: str, started: float, **tags: str) -> str:
        found = self._server.find_run(self._experiment, tag, value)
        return found or self._server.create_run(self._experiment, name, started, {tag: value, **tags})

    def _describe(self, record: RunRecord) -> None:
        """Tell what the run is: its arguments, its data, its code; none of it ever changes."""
        request = self._request
        spec = request.spec
        self._server.log(self._id, params=_arguments(request))
        for name, digest in spec.datasets.items():
            reference = request.datasets.get(name)
            known = f"{reference.name}:{reference.version}" if reference else f"{name}:?"
            self._server.log_dataset(self._id, name=known, digest=digest, source=f"trainstack:dataset/{known}")
        tags = {
            "mlflow.source.name": spec.script,
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
                tags[_PARENT] = parent(self._server, self._experiment, sweep)
        for name, reference in request.datasets.items():
            tags[f"trainstack.dataset.{name}"] = f"version {reference.version}"
        self._server.log(self._id, tags=tags)

    def _tell_tags(self, record: RunRecord) -> None:
        tags = {
            "trainstack.status": record.status.value,
            "trainstack.reason": record.reason,
            "trainstack.attempt": str(record.attempt),
            "mlflow.note.content": _note(self._directory, record),
        }
        for stage in record.stages:
            if stage.ended is not None:
                tags[f"trainstack.stage.{stage.name.value}"] = f"{stage.seconds:.1f} s"
        changed = {name: value for name, value in tags.items() if self._told_tags.get(name) != value}
        if changed:
            self._server.log(self._id, tags=changed)
            self._told_tags.update(changed)

    def _tell_logged(self) -> None:
        """Tell what the script logged: rank 0's own runs are this run, other ranks and nested runs its children."""
        for logged in metric_files.runs(self._directory.tracking):
            if logged.id not in self._streams:
                self._streams[logged.id] = (self._ref_of(logged), News(logged))
            run, news = self._streams[logged.id]
            if points := news.points():
                self._server.log(run, metrics=points)

    def _tell_measured(self) -> None:
        """Tell what the agents measure, of several nodes each under its name, as MLflow does."""
        for measured in metric_files.systems(self._directory.tracking):
            node = measured.rank
            points = self._measured.setdefault(node, News(measured)).points()
            if node:
                points = [(name.replace("system/", f"system/node-{node}/", 1), point) for name, point in points]
            if points:
                self._server.log(self._id, metrics=points)

    def _ref_of(self, logged: metric_files.LoggedRun) -> str:
        tags = logged.tags
        if logged.rank == 0 and _PARENT not in tags:
            home = self._id
        else:
            name = tags.get("mlflow.runName", logged.id) if _PARENT in tags else f"rank {logged.rank}"
            parent = self._streams[tags[_PARENT]][0] if tags.get(_PARENT) in self._streams else self._id
            value = f"{self._directory.id}/{logged.id}"
            home = self._found("trainstack.logged", value, name, self._directory.read().created, **{_PARENT: parent})
            self._server.set_status(home, "FINISHED")
        own = {name: value for name, value in tags.items() if not name.startswith("mlflow.")}
        # A name that the run's own arguments have already keeps their value.
        taken = _arguments(self._request) if home == self._id else {}
        params = {name: value for name, value in logged.params.items() if name not in taken}
        self._server.log(home, params=params, tags=own)
        return home

    def _tell_attempt(self, attempt: PastAttempt) -> None:
        """Show an attempt that came to a bad end as a child of its own, killed where it was killed."""
        value = f"{self._directory.id}/{attempt.number}"
        key = f"attempt {attempt.number}"
        if key in self._told_tags:
            return
        run = self._found("trainstack.attempt_of", value, key, attempt.started, **{_PARENT: self._id})
        self._server.log(run, tags={"trainstack.reason": attempt.reason})
        self._server.set_status(run, "KILLED" if attempt.killed else "FAILED", attempt.ended)
        self._told_tags[key] = attempt.reason

    def _link(self) -> None:
        """Show the run's files as artifacts, by hard link: no byte is there twice."""
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
        for shown in _SHOWN:
            top = self._directory.root / shown
            for folder, _, names in os.walk(top):
                for name in names:
                    path = Path(folder, name)
                    if not path.is_symlink():
                        yield path, f"{shown}/{path.relative_to(top).as_posix()}"
        for logged in metric_files.runs(self._directory.tracking):
            for path in logged.artifacts.rglob("*"):
                if path.is_file():
                    yield path, path.relative_to(logged.artifacts).as_posix()


def _gone(directory: RunDirectory) -> RunRequest:
    directory.read()
    return directory.request()


def _arguments(request: RunRequest) -> dict[str, str]:
    given = request.spec.arguments
    if isinstance(given, list):
        return {"arguments": " ".join(given)}
    shown = {name.lstrip("-") or name: value for name, value in given.items()}
    return {name: " ".join(value) if isinstance(value, list) else str(value) for name, value in shown.items()}


def _note(directory: RunDirectory, record: RunRecord) -> str:
    """The description on the run's page."""
    rows = [
        f"| {stage.name.value} | {seconds(stage.seconds) if stage.ended else '…'} | {stage.reason} |"
        for stage in record.stages
    ]
    text = f"`trainstack runs show {record.id}`, in `{directory.root}`"
    return "\n".join([text, "", "| stage | took | reason |", "|---|---|---|", *rows]) if rows else text
