"""What a run's script logged through its MLflow client, on an MLflow server.

The first run that rank 0 starts in an attempt is the page's run itself. All others are child runs: those of other
ranks, nested ones, and further ones of rank 0, as a loop over seeds or a second `fit` under autologging makes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainstack.core.history import refusals
from trainstack.core.runs.attempts import PastAttempt
from trainstack.core.runs.directory import RunDirectory
from trainstack.mlflow import metric_files
from trainstack.mlflow.metric_files import LoggedRun, NewPoints
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage.file_names import is_utf8

PARENT = "mlflow.parentRunId"
_NAME = "mlflow.runName"
NOTE = "mlflow.note.content"
_LOGGED_TAG = "trainstack.logged"
_OURS = "trainstack."
# What the page's run says of itself by what Trainstack knows.
_OF_THE_RUN = frozenset({"mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit", NOTE})
# A name that a client makes up where the script gives none.
_RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")


class LoggedRuns:
    """Keeps a run of the server, and its child runs, equal to what the script logs."""

    def __init__(
        self, server: TrackingServer, experiment: str, directory: RunDirectory, run: str, arguments: frozenset[str]
    ) -> None:
        """Prepare to mirror.

        Args:
            server: The server.
            experiment: The experiment's id.
            directory: The run.
            run: The id of the server's run.
            arguments: Names of the run's arguments: of a parameter of that name the argument's value stays.
        """
        self._server, self._experiment = server, experiment
        self._directory, self._run, self._arguments = directory, run, arguments
        self._runs: dict[str, str] = {}
        self._points: dict[str, NewPoints] = {}
        self._logged: dict[str, dict[str, str]] = {}
        self._status: dict[str, str] = {}
        self.refused: dict[str, None] = {}
        """A line for each value that the server refused, in order."""
        self.note = ""
        """The description that the script gave."""

    def sync(self, past: Sequence[PastAttempt], status: str) -> None:
        """Mirror what is new.

        Args:
            past: The attempts before the current one.
            status: The run's status as MLflow calls it.

        Raises:
            TrackingError: The server does not answer.
        """
        first: set[tuple[int, int]] = set()
        for logged in metric_files.runs(self._directory.tracking):
            tags = logged.tags
            attempt = sum(1 for each in past if each.ended <= logged.started)
            leads = PARENT not in tags and (logged.rank, attempt) not in first
            if leads:
                first.add((logged.rank, attempt))
            own = leads and logged.rank == 0
            if logged.id not in self._runs:
                self._runs[logged.id] = self._run if own else self._child(logged, leads, tags)
                self._points[logged.id] = NewPoints(logged)
            self._log(logged, self._tags(tags, own=own, keep_name=leads and logged.rank > 0), own=own)
            if not own:
                ended = "KILLED" if attempt < len(past) else status
                self._set_status(logged, ended if logged.status == "RUNNING" else logged.status)

    def files(self) -> Iterator[tuple[str, Path, str]]:
        """Yield the server's run, a file that the script logged to it as an artifact, and the artifact's path."""
        for logged in metric_files.runs(self._directory.tracking):
            run = self._runs.get(logged.id)
            for path in logged.artifacts.rglob("*") if run else ():
                relative = path.relative_to(logged.artifacts).as_posix()
                # A link of the script's may lead to any file that this user can read.
                if path.is_file() and not path.is_symlink() and is_utf8(relative):
                    yield str(run), path, relative

    def _child(self, logged: LoggedRun, leads: bool, tags: dict[str, str]) -> str:
        value = f"{self._directory.id}/{logged.id}"
        run = self._server.find_run(self._experiment, _LOGGED_TAG, value)
        if run is None:
            name = f"rank {logged.rank}" if leads else tags.get(_NAME, logged.id)
            parent = self._runs.get(tags.get(PARENT, ""), self._run)
            named = {_LOGGED_TAG: value, PARENT: parent}
            run = self._server.create_run(self._experiment, name, logged.started, named)
        return run

    def _tags(self, tags: dict[str, str], *, own: bool, keep_name: bool) -> dict[str, str]:
        """The script's tags, less those that only Trainstack or the page's tree of runs may give."""
        scripted = {name: value for name, value in tags.items() if name != PARENT and not name.startswith(_OURS)}
        if own:
            self.note = scripted.get(NOTE, "")
            scripted = {name: value for name, value in scripted.items() if name not in _OF_THE_RUN}
        if keep_name or (own and _RANDOM_NAME.fullmatch(scripted.get(_NAME, ""))):
            scripted.pop(_NAME, None)
        return scripted

    def _log(self, logged: LoggedRun, tags: dict[str, str], *, own: bool) -> None:
        """Log what the server does not have yet."""
        run, known = self._runs[logged.id], self._logged.setdefault(logged.id, {})
        values = {f"tag {name}": value for name, value in tags.items()}
        params = {name: value for name, value in logged.params.items() if not own or name not in self._arguments}
        values.update({f"param {name}": value for name, value in params.items()})
        changed = {name for name, value in values.items() if known.get(name) != value}
        refused = refusals.log(
            self._server,
            run,
            params={name: value for name, value in params.items() if f"param {name}" in changed},
            tags={name: value for name, value in tags.items() if f"tag {name}" in changed},
            metrics=self._points[logged.id].points(),
        )
        self.refused.update(dict.fromkeys(refused))
        known.update(values)

    def _set_status(self, logged: LoggedRun, status: str) -> None:
        if self._status.get(logged.id) != status:
            self._server.set_status(self._runs[logged.id], status, logged.ended)
            self._status[logged.id] = status
