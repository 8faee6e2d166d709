"""Mirror a workspace into a tracking server: runs with something new, registered models, and sweeps.

Logging something twice changes nothing (a metric's identity is its time, step and value, that of parameters and tags
their name), so the mirror keeps no state of its own. A server that does not know the workspace gets everything.
"""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

from trainstack.core.history import mlflow_sweep, purged_run
from trainstack.core.history.mlflow_model import MlflowModels
from trainstack.core.history.mlflow_run import RUN_TAG, UNTOLD_TAG, MlflowRun
from trainstack.core.history.retries import Retries
from trainstack.core.history.shared_changes import SharedChanges
from trainstack.core.models.model import list_models
from trainstack.core.runs import index
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.sweeps.record import SweepDirectory, list_sweeps
from trainstack.core.tracking.queue import MODEL_PREFIX, SWEEP_PREFIX
from trainstack.core.workspace.origin import origin_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrackingError, TrainstackError
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage import locks

# MLflow's codes for what has nothing to do with an entry.
_OF_THE_SERVER = ("UNAUTHENTICATED", "PERMISSION_DENIED", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
_WORKSPACE_TAG = "trainstack.workspace"


class Mirror:
    """One workspace on one server."""

    def __init__(self, workspace: Workspace, server: TrackingServer, artifacts: Path | None) -> None:
        """Prepare to mirror.

        Args:
            workspace: The workspace.
            server: The server.
            artifacts: The folder that the server takes artifacts from, where that is on this machine.
        """
        self._workspace = workspace
        self._server = server
        self._artifacts = artifacts
        self._experiment = server.experiment(workspace.name)
        self._runs: dict[str, MlflowRun] = {}
        self._retries = Retries()
        self._models = MlflowModels(workspace, server, self._experiment, artifacts)
        self._queue = workspace.history / "queue"
        self._pending = workspace.history / "pending"
        self._pending.mkdir(parents=True, exist_ok=True)
        # To a server elsewhere each machine tells what it has done itself.
        store = None if artifacts is None else origin_of(workspace.root)
        self._shared = SharedChanges(workspace, store) if store else None
        self._queue_everything_if_new()

    def sync(self) -> None:
        """Mirror what is new since the last call.

        Raises:
            TrackingError: The server does not answer; what it did not get stays pending.
        """
        self._take_queue()
        if self._shared:
            self._shared.queue(self._pending)
        # The oldest first: versions that scripts register under one name follow each other.
        for entry in sorted(self._pending.iterdir(), key=_age):
            if self._try_entry(entry.name):
                # A run that was queued again meanwhile is in the queue again, and comes next.
                entry.unlink(missing_ok=True)
                self._runs.pop(entry.name, None)

    def _queue_everything_if_new(self) -> None:
        """Queue every run, model and sweep when the server does not know this workspace, or knows it no more."""
        response = self._server.get("experiments/get", experiment_id=self._experiment)
        tags = {tag["key"]: tag["value"] for tag in response["experiment"].get("tags", [])}
        if tags.get(_WORKSPACE_TAG) == self._workspace.id:
            return
        if self._shared:
            self._shared.forget()
        else:
            self._queue_everything()
        self._server.post(
            "experiments/set-experiment-tag",
            experiment_id=self._experiment,
            key=_WORKSPACE_TAG,
            value=self._workspace.id,
        )

    def _queue_everything(self) -> None:
        for record in reversed(list(index.newest(self._workspace))):
            (self._pending / record.id).touch()
        for name in {record.name for record in list_models(self._workspace)}:
            (self._pending / f"{MODEL_PREFIX}{name}").touch()
        for record in list_sweeps(self._workspace):
            (self._pending / f"{SWEEP_PREFIX}{record.id}").touch()

    def _take_queue(self) -> None:
        """Move the queue to what is pending: an entry that is queued from now on is a new one."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self._queue.iterdir():
                entry.replace(self._pending / entry.name)

    def _try_entry(self, name: str) -> bool:
        """Mirror what is new of an entry; return whether it is complete, or left because it fails again and again."""
        if self._retries.waits(name):
            return False
        try:
            complete = self._sync_entry(name)
        except TrackingError as exc:
            # One that does not answer or lets nobody in does so to every entry.
            if not exc.code or exc.code in _OF_THE_SERVER:
                raise
            return self._failed(name, str(exc))
        except Exception as exc:  # noqa: BLE001 (no run may hold up another)
            traceback.print_exc()
            return self._failed(name, f"{type(exc).__name__}: {exc}")
        self._retries.forget(name)
        return complete

    def _failed(self, name: str, reason: str) -> bool:
        self._runs.pop(name, None)
        if self._retries.later(name):
            return False
        print(f"{name} is left out of the history: {reason}", flush=True)
        with contextlib.suppress(TrackingError):
            if run := self._server.find_run(self._experiment, RUN_TAG, name):
                self._server.log(run, tags={UNTOLD_TAG: reason})
        return True

    def _sync_entry(self, name: str) -> bool:
        """Mirror what is new of an entry; return whether it is complete."""
        if name.startswith(MODEL_PREFIX):
            return self._sync_model(name.removeprefix(MODEL_PREFIX))
        if name.startswith(SWEEP_PREFIX):
            return self._sync_sweep(name.removeprefix(SWEEP_PREFIX))
        directory = RunDirectory(self._workspace.run(name))
        try:
            self._fetch(directory)
            if name not in self._runs:
                self._runs[name] = MlflowRun(self._server, self._experiment, directory, self._artifacts)
            # One that goes on elsewhere is among the changes of the next look.
            return self._runs[name].sync() or directory.is_copy
        except NotFoundError:
            purged_run.remove(self._server, self._experiment, name, self._artifacts)
            return True
        except TrackingError:
            raise
        except TrainstackError as exc:
            # The next `up` writes a damaged record anew, and queues the run again.
            print(f"run {name} is not in the history: {exc}", flush=True)
            return True

    def _fetch(self, directory: RunDirectory) -> None:
        """Fetch what a machine's copy of a workspace in a store lacks; the history has the rest without it."""
        with contextlib.suppress(TrainstackError):
            directory.fetch("tracking", "logs")

    def _sync_model(self, name: str) -> bool:
        def request_run(run_id: str) -> None:
            (self._pending / run_id).touch()

        try:
            return self._models.sync(name, request_run)
        except TrackingError as exc:
            if not exc.code:
                raise
            print(f"model {name} is not in the history: {exc}", flush=True)
            return True

    def _sync_sweep(self, sweep_id: str) -> bool:
        directory = SweepDirectory(self._workspace.sweep(sweep_id))
        try:
            mlflow_sweep.sync(self._server, self._experiment, directory, self._artifacts)
        except NotFoundError:
            return True
        return directory.read().status != "running" or not locks.is_locked(directory.lock)


def _age(entry: Path) -> tuple[int, str]:
    with contextlib.suppress(FileNotFoundError):
        return entry.stat().st_mtime_ns, entry.name
    return 0, entry.name
