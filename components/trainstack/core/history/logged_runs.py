"""What a run's script logged through its MLflow client, on an MLflow server.

The first run that rank 0 starts in an attempt is the page's run itself. All others are child runs: those of other
ranks, nested ones, and further ones of rank 0, as a loop over seeds or a second `fit` under autologging makes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainstack.core.history import artifact_links, refusals
from trainstack.core.history.client_ids import ClientIds
from trainstack.core.history.refusals import Refusals
from trainstack.core.runs.attempts import PastAttempt
from trainstack.core.runs.directory import RunDirectory
from trainstack.mlflow import logged_files, metric_files
from trainstack.mlflow.metric_files import LoggedRun, NewPoints
from trainstack.mlflow.rest_client import TrackingServer

PARENT = "mlflow.parentRunId"
_NAME = "mlflow.runName"
NOTE = "mlflow.note.content"
LOGGED_TAG = "trainstack.logged"
"""Tag of what a script made on the server: the run, and the id that the script's client chose."""
OURS = "trainstack."
"""Begins tags that only Trainstack may give."""
# What the page's run says of itself by what Trainstack knows.
_OF_THE_RUN = frozenset({"mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit", NOTE})
# A name that a client makes up where the script gives none.
_RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")


@dataclass(frozen=True)
class _Placed:
    """A logged run, and what it is on the server.

    Attributes:
        logged: The run as the client knows it.
        own: Whether it is the page's run.
        leads: Whether it is the first of its rank in its attempt.
        status: Its status.
    """

    logged: LoggedRun
    own: bool
    leads: bool
    status: str


class LoggedRuns:
    """Keeps a run of the server, and its child runs, equal to what the script logs."""

    def __init__(
        self,
        server: TrackingServer,
        experiment: str,
        directory: RunDirectory,
        run: str,
        arguments: frozenset[str],
        ids: ClientIds,
    ) -> None:
        """Prepare to mirror.

        Args:
            server: The server.
            experiment: The experiment's id.
            directory: The run.
            run: The id of the server's run.
            arguments: Names of the run's arguments: of a parameter of that name the argument's value stays.
            ids: The ids of the client and of the server, where the server's runs are noted.
        """
        self._server, self._experiment = server, experiment
        self._directory, self._run, self._arguments, self._ids = directory, run, arguments, ids
        self._placed: list[_Placed] = []
        self._points: dict[str, NewPoints] = {}
        self._logged: dict[str, dict[str, str]] = {}
        self._linked: dict[str, set[str]] = {}
        self._status: dict[str, tuple[str, bool]] = {}
        self.refused = Refusals()
        self.note = ""
        """The description that the script gave."""

    def place(self, past: Sequence[PastAttempt], status: str) -> None:
        """Find the runs on the server, or make them.

        Args:
            past: The attempts before the current one.
            status: The run's status as MLflow calls it.

        Raises:
            TrackingError: The server does not answer.
        """
        self._placed = []
        first: set[tuple[int, int]] = set()
        for logged in metric_files.runs(self._directory.tracking):
            tags = logged.tags
            attempt = sum(1 for each in past if each.ended <= logged.started)
            leads = PARENT not in tags and (logged.rank, attempt) not in first
            if leads:
                first.add((logged.rank, attempt))
            if logged.id not in self._ids.runs:
                own = leads and logged.rank == 0
                self._ids.runs[logged.id] = self._run if own else self._child(logged, leads, tags)
                self._points[logged.id] = NewPoints(logged.folder)
            own = self._ids.runs[logged.id] == self._run
            ended = "KILLED" if attempt < len(past) else status
            self._placed.append(_Placed(logged, own, leads, ended if logged.status == "RUNNING" else logged.status))

    def sync(self) -> None:
        """Mirror what is new of each.

        Raises:
            TrackingError: The server does not answer.
        """
        for placed in self._placed:
            self._log(placed)
            self._log_inputs(placed.logged)
            if not placed.own:
                self._set_status(placed.logged, placed.status)

    def files(self) -> Iterator[tuple[Path, PurePosixPath]]:
        """Yield each file that the script logged, and its path among the artifacts of the server's experiment."""
        for placed in self._placed:
            run = self._ids.runs[placed.logged.id]
            yield from artifact_links.files(placed.logged.artifacts, PurePosixPath(run, "artifacts"))

    def _child(self, logged: LoggedRun, leads: bool, tags: dict[str, str]) -> str:
        value = f"{self._directory.id}/{logged.id}"
        run = self._server.find_run(self._experiment, LOGGED_TAG, value, deleted=True)
        if run is None:
            name = f"rank {logged.rank}" if leads else tags.get(_NAME, logged.id)
            parent = self._ids.runs.get(tags.get(PARENT, ""), self._run)
            named = {LOGGED_TAG: value, PARENT: parent}
            run = self._server.create_run(self._experiment, name, logged.started, named)
        elif logged.deleted:
            # Nothing can be logged to a run that is deleted.
            self._server.post("runs/restore", run_id=run)
        return run

    def _tags(self, tags: dict[str, str], *, own: bool, keep_name: bool) -> dict[str, str]:
        """The script's tags, less those that only Trainstack or the page's tree of runs may give."""
        scripted = {
            name: self._ids.translate(value) if name.startswith("mlflow.") else value
            for name, value in tags.items()
            if name != PARENT and not name.startswith(OURS)
        }
        if own:
            self.note = scripted.get(NOTE, "")
            scripted = {name: value for name, value in scripted.items() if name not in _OF_THE_RUN}
        if keep_name or (own and _RANDOM_NAME.fullmatch(scripted.get(_NAME, ""))):
            scripted.pop(_NAME, None)
        return scripted

    def _log(self, placed: _Placed) -> None:
        """Log what the server does not have yet."""
        logged, own = placed.logged, placed.own
        run, known = self._ids.runs[logged.id], self._logged.setdefault(logged.id, {})
        tags = self._tags(logged.tags, own=own, keep_name=placed.leads and logged.rank > 0)
        values = {f"tag {name}": value for name, value in tags.items()}
        params = {name: value for name, value in logged.params.items() if not own or name not in self._arguments}
        values.update({f"param {name}": value for name, value in params.items()})
        changed = {name for name, value in values.items() if known.get(name) != value}
        lines = refusals.log(
            self._server,
            run,
            params={name: value for name, value in params.items() if f"param {name}" in changed},
            tags={name: value for name, value in tags.items() if f"tag {name}" in changed},
            metrics=self._points[logged.id].points(),
        )
        self.refused.add(lines)
        for tag in [what.removeprefix("tag ") for what in known.keys() - values.keys() if what.startswith("tag ")]:
            self.refused.attempt(f"tag {tag}", lambda tag=tag: self._server.delete_tag(run, tag))
        self._logged[logged.id] = values

    def _log_inputs(self, logged: LoggedRun) -> None:
        """Log the run's datasets, and the models that it took and made."""
        run, linked = self._ids.runs[logged.id], self._linked.setdefault(logged.id, set())
        datasets = logged_files.dataset_inputs(logged)
        taken = {model: self._ids.models.get(model) for model in logged_files.model_inputs(logged)}
        made = logged_files.model_outputs(logged)
        inputs = {
            "datasets": [dataset for each, dataset in datasets.items() if each not in linked],
            "models": [{"model_id": model} for each, model in taken.items() if model and f"to {each}" not in linked],
        }
        outputs = [
            {"model_id": self._ids.models[each], "step": step}
            for each, step in made.items()
            if each in self._ids.models and f"from {each}" not in linked
        ]
        if any(inputs.values()):
            self.refused.attempt("inputs", lambda: self._server.post("runs/log-inputs", run_id=run, **inputs))
        if outputs:
            self.refused.attempt("outputs", lambda: self._server.post("runs/outputs", run_id=run, models=outputs))
        linked.update(datasets, (f"to {each}" for each in taken), (f"from {each}" for each in made))

    def _set_status(self, logged: LoggedRun, status: str) -> None:
        if self._status.get(logged.id) == (status, logged.deleted):
            return
        run = self._ids.runs[logged.id]
        if self._status.get(logged.id, ("", False))[1]:
            self._server.post("runs/restore", run_id=run)
        self._server.set_status(run, status, logged.ended)
        if logged.deleted:
            self._server.post("runs/delete", run_id=run)
        self._status[logged.id] = (status, logged.deleted)
