"""All that a run's script logged through its MLflow client, on an MLflow server.

What the script names by the client's ids (a model's run, a version's source) has the server's ids there, so runs and
models are made first, and what speaks of them follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from trainstack.core.history.client_ids import ClientIds
from trainstack.core.history.logged_models import LoggedModels
from trainstack.core.history.logged_runs import LoggedRuns
from trainstack.core.history.logged_traces import LoggedTraces
from trainstack.core.history.script_models import ScriptModels
from trainstack.core.runs.attempts import PastAttempt
from trainstack.core.runs.directory import RunDirectory
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage.path_address import file_address


class ScriptLog:
    """Keeps a server equal to what the script of a run logs.

    Args:
        server: The server.
        experiment: The experiment's id.
        directory: The run.
        run: The id of the server's run.
        arguments: Names of the run's arguments: of a parameter of that name the argument's value stays.
    """

    def __init__(
        self, server: TrackingServer, experiment: str, directory: RunDirectory, run: str, arguments: frozenset[str]
    ) -> None:
        self._server, self._experiment, self._directory = server, experiment, directory
        self._location = ""
        self.ids = ClientIds()
        """The ids of the script's client and of the server."""
        self._runs = LoggedRuns(server, experiment, directory, run, arguments, self.ids)
        self._models = LoggedModels(server, experiment, directory, self.ids)
        self._registry = ScriptModels(server, directory, self.ids)
        self._traces = LoggedTraces(server, experiment, directory, self.ids)

    @property
    def refused(self) -> list[str]:
        """A line for each value that the server refused."""
        return [*self._runs.refused, *self._models.refused, *self._registry.refused, *self._traces.refused]

    @property
    def note(self) -> str:
        """The description that the script gave of the page's run."""
        return self._runs.note

    def sync(self, past: Sequence[PastAttempt], status: str) -> None:
        """Mirror what is new.

        Args:
            past: The attempts before the current one.
            status: The run's status as MLflow calls it.

        Raises:
            TrackingError: The server does not answer.
        """
        self._note_locations()
        self._runs.place(past, status)
        self._models.place()
        self._runs.sync()
        self._models.sync()
        self._registry.sync()
        self._traces.sync()

    def _note_locations(self) -> None:
        for folder in self._directory.tracking.glob("rank-*/*/"):
            if (location := file_address(folder)) not in self.ids.locations:
                if not self._location:
                    response = self._server.get("experiments/get", experiment_id=self._experiment)
                    self._location = str(response["experiment"]["artifact_location"]).rstrip("/")
                self.ids.locations[location] = self._location

    def files(self) -> Iterator[tuple[Path, PurePosixPath]]:
        """Yield each file that the script logged, and its path among the artifacts of the server's experiment."""
        return chain(self._runs.files(), self._models.files(), self._traces.files())
