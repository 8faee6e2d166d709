"""The tracking daemon of a workspace: it runs the embedded MLflow server, and mirrors runs, models and sweeps into it.

To a server on a cluster it forwards a port of this machine instead. `tracking_server` starts it. Whatever ends it,
nothing is lost: the run directories are the truth, `queue/` and `pending/` name what is still to be mirrored, and
mirroring something twice changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Protocol

from trainstack.core.history.mirror import Mirror
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.forwarded_server import ForwardedServer
from trainstack.core.tracking.mlflow_process import MlflowProcess
from trainstack.core.tracking.settings import Settings, read_settings
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import write_json

TICK = 1.0
_BACKOFF_SECONDS = 60.0
# A caller waits for a pod that is replaced, or for the first one.
_CLUSTER_BACKOFF_SECONDS = 8.0


class Server(Protocol):
    """A server that the daemon provides at the workspace's port."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    @property
    def problem(self) -> str:
        """Why it does not answer, where that is known."""
        ...

    def start(self) -> None:
        """Start it, and wait until it answers where that can be known."""
        ...

    def stop(self) -> None:
        """Stop it."""
        ...


class TrackingDaemon:
    """Keeps the server up and the mirror current, until it is asked to end or the workspace is gone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._ended = threading.Event()
        self._server: Server | None = None
        self._mirror: Mirror | None = None
        self._starting = False
        self._failures = 0
        self._backoff = _BACKOFF_SECONDS

    def run(self) -> None:
        """Work until it is asked to end."""
        try:
            while not self._ended.is_set() and (self._workspace.root / "workspace.json").is_file():
                try:
                    self._step()
                    self._failures = 0
                except TrainstackError as exc:
                    self._retry_later(str(exc))
                except Exception as exc:  # noqa: BLE001 (one run that cannot be mirrored must not end the server)
                    traceback.print_exc()
                    self._retry_later(f"{type(exc).__name__}: {exc}; the trace is in log.txt")
                self._ended.wait(min(TICK * 2**self._failures, self._backoff))
        finally:
            if self._server is not None:
                self._server.stop()

    def request_end(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler: end the server and this process; an environment that is still being built at once."""
        self._ended.set()
        if self._starting:
            self._starting = False
            raise SystemExit(0)

    def report(self, status: str) -> None:
        """Write the daemon's status for other processes."""
        with contextlib.suppress(TrainstackError, OSError):
            write_json(self._workspace.history / tracking_server.STATUS_FILE, {"pid": os.getpid(), "status": status})

    def _step(self) -> None:
        """Start the server unless it runs, and mirror what is new."""
        settings = read_settings(self._workspace)
        if not settings.tracking_uri:
            if self._server is None:
                self._server = self._make_server(settings)
            # A server that was killed starts again; its database holds what it had acknowledged.
            if not self._server.alive:
                self._mirror = None
                self._starting = True
                try:
                    self._server.start()
                finally:
                    self._starting = False
                settings = read_settings(self._workspace)
        if self._ended.is_set():
            return
        if self._mirror is None:
            server = tracking_server.connect(self._workspace)
            if not server.healthy(settings.health_timeout):
                why = f": {self._server.problem}" if self._server and self._server.problem else ""
                raise TrainstackError(f"waiting for {settings.address}{why}")
            artifacts = self._workspace.history / "artifacts" if settings.embedded else None
            self._mirror = Mirror(self._workspace, server, artifacts)
            self.report(tracking_server.SERVING)
        self._mirror.sync()

    def _make_server(self, settings: Settings) -> Server:
        if settings.cluster is None:
            return MlflowProcess(self._workspace, self.report, self._ended.is_set)
        self._backoff = _CLUSTER_BACKOFF_SECONDS
        return ForwardedServer(self._workspace, settings.cluster)

    def _retry_later(self, reason: str) -> None:
        self._failures = min(self._failures + 1, 6)
        self._mirror = None
        self.report(reason)
        print(time.strftime("%Y-%m-%d %H:%M:%S"), reason, flush=True)


def main(root: str) -> None:
    """Run the tracking daemon of a workspace, unless one runs already.

    Args:
        root: The workspace's folder.
    """
    workspace = Workspace.open(Path(root))
    with locks.try_exclusive(workspace.history / "lock", locks.LOOK_SECONDS) as acquired:
        if not acquired:
            return
        daemon = TrackingDaemon(workspace)
        signal.signal(signal.SIGTERM, daemon.request_end)
        signal.signal(signal.SIGINT, daemon.request_end)
        daemon.report("starting")
        daemon.run()


if __name__ == "__main__":
    main(sys.argv[1])
