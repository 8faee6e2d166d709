"""Tell a tracking server what the workspace holds: runs that have something new, and registered models.

Saying a thing twice changes nothing (metrics are told apart by time, step and value; parameters and tags by name), so
the mirror needs no memory of its own. A server that has never heard of this workspace is told everything.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from trainstack.core.history import mlflow_sweep
from trainstack.core.history.mlflow_model import MirroredModels
from trainstack.core.history.mlflow_run import RUN_TAG, MirroredRun
from trainstack.core.models.model import list_models
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.sweeps.record import SweepDirectory, list_sweeps
from trainstack.core.tracking.tracking_server import MODEL_NOTE, SWEEP_NOTE
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrackingError, TrainstackError
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage import locks

_KNOWN_TAG = "trainstack.workspace"


class Mirror:
    """One workspace on one server."""

    def __init__(self, workspace: Workspace, server: TrackingServer, artifacts: Path | None) -> None:
        """Begin to mirror.

        Args:
            workspace: The workspace.
            server: Where to.
            artifacts: The folder that the server takes artifacts from, where that is on this machine.
        """
        self._workspace = workspace
        self._server = server
        self._artifacts = artifacts
        self._experiment = server.experiment(workspace.name)
        self._runs: dict[str, MirroredRun] = {}
        self._models = MirroredModels(workspace, server, self._experiment, artifacts)
        self._queue = workspace.history / "queue"
        self._telling = workspace.history / "telling"
        self._telling.mkdir(parents=True, exist_ok=True)
        self._greet()

    def turn(self) -> None:
        """Tell what is new since the last turn.

        Raises:
            TrackingError: The server does not answer; what was to be told stays noted.
        """
        self._take()
        for note in sorted(self._telling.iterdir()):
            if self._tell(note.name):
                # Noted again meanwhile, the run is in the queue again, and its turn comes.
                note.unlink(missing_ok=True)
                self._runs.pop(note.name, None)

    def _greet(self) -> None:
        """Note every run when the server does not know this workspace: it is new, or has lost its memory."""
        found = self._server.get("experiments/get", experiment_id=self._experiment)
        tags = {tag["key"]: tag["value"] for tag in found["experiment"].get("tags", [])}
        if tags.get(_KNOWN_TAG) == self._workspace.id:
            return
        for record in self._workspace.runs.glob("*/run.json"):
            (self._telling / record.parent.name).touch()
        for name in {record.name for record in list_models(self._workspace)}:
            (self._telling / f"{MODEL_NOTE}{name}").touch()
        for record in list_sweeps(self._workspace):
            (self._telling / f"{SWEEP_NOTE}{record.id}").touch()
        self._server.post(
            "experiments/set-experiment-tag",
            experiment_id=self._experiment,
            key=_KNOWN_TAG,
            value=self._workspace.id,
        )

    def _take(self) -> None:
        """Move what was noted to what is being told: a note that is made from now on is a new one."""
        with contextlib.suppress(FileNotFoundError):
            for note in self._queue.iterdir():
                note.replace(self._telling / note.name)

    def _tell(self, name: str) -> bool:
        """Tell what is new of a run; whether there is nothing more to come."""
        if name.startswith(MODEL_NOTE):
            return self._tell_model(name.removeprefix(MODEL_NOTE))
        if name.startswith(SWEEP_NOTE):
            return self._tell_sweep(name.removeprefix(SWEEP_NOTE))
        directory = RunDirectory(self._workspace.run(name))
        try:
            if name not in self._runs:
                self._runs[name] = MirroredRun(self._server, self._experiment, directory, self._artifacts)
            return self._runs[name].tell()
        except NotFoundError:
            self._forget(name)
            return True
        except TrackingError:
            raise
        except TrainstackError as exc:
            # A damaged record is written anew by the next `up`, which notes the run again.
            print(f"run {name} is not in the history: {exc}", flush=True)
            return True

    def _tell_model(self, name: str) -> bool:
        def wanted(run_id: str) -> None:
            (self._telling / run_id).touch()

        try:
            return self._models.tell(name, wanted)
        except TrackingError as exc:
            if not exc.code:
                raise
            print(f"model {name} is not in the history: {exc}", flush=True)
            return True

    def _tell_sweep(self, sweep_id: str) -> bool:
        directory = SweepDirectory(self._workspace.sweep(sweep_id))
        try:
            mlflow_sweep.tell(self._server, self._experiment, directory, self._artifacts)
        except NotFoundError:
            return True
        return directory.read().status != "running" or not locks.is_locked(directory.lock)

    def _forget(self, name: str) -> None:
        """Remove a run that was purged."""
        while (run := self._server.find_run(self._experiment, RUN_TAG, name)) is not None:
            self._server.post("runs/delete", run_id=run)
            if self._artifacts is not None:
                shutil.rmtree(self._artifacts / self._experiment / run, ignore_errors=True)
