"""The process that keeps a workspace's history: it runs the embedded MLflow server and tells it what runs say.

To a server on a cluster it leads a port of this machine instead. Started by `service` as nobody's child. Whatever ends
it, nothing is lost: the run directories are the truth, what is still to be told lies in `queue/` and `telling/`, and
telling something twice changes nothing.
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
from trainstack.core.tracking.mlflow_process import MlflowProcess
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage import locks
from trainstack.storage.atomic import write_json

TICK = 1.0
_BACKOFF_SECONDS = 60.0
# Somebody waits for a pod that is replaced, or for the first one.
_CLUSTER_BACKOFF_SECONDS = 8.0


class Server(Protocol):
    """A server that the keeper has at the workspace's port."""

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        ...

    @property
    def said(self) -> str:
        """Why it does not answer, where that is known."""
        ...

    def start(self) -> None:
        """Have it there."""
        ...

    def end(self) -> None:
        """End it."""
        ...


class Keeper:
    """Keeps the server up and the mirror true, until told to end or the workspace is gone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._ended = threading.Event()
        self._process: Server | None = None
        self._mirror: Mirror | None = None
        self._failures = 0
        self._backoff = _BACKOFF_SECONDS

    def run(self) -> None:
        """Work until the end."""
        try:
            while not self._ended.is_set() and (self._workspace.root / "workspace.json").is_file():
                try:
                    self._turn()
                    self._failures = 0
                except TrainstackError as exc:
                    self._failed(str(exc))
                except Exception as exc:  # noqa: BLE001 (one run that cannot be told must not end the server)
                    traceback.print_exc()
                    self._failed(f"{type(exc).__name__}: {exc}; the trace is in log.txt")
                self._ended.wait(min(TICK * 2**self._failures, self._backoff))
        finally:
            if self._process is not None:
                self._process.end()

    def request_end(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler: end the server and this process."""
        self._ended.set()

    def say(self, status: str) -> None:
        """Tell others, in a few words, how it does."""
        with contextlib.suppress(TrainstackError, OSError):
            write_json(self._workspace.history / "keeper.json", {"pid": os.getpid(), "status": status})

    def _turn(self) -> None:
        """Bring the server up where it is not, and tell it what is new."""
        settings = tracking_server.settings(self._workspace)
        if not settings.tracking_uri:
            if self._process is None:
                self._process = self._server(settings)
            # A server that was killed comes again; its database holds what it had acknowledged.
            if not self._process.alive:
                self._mirror = None
                self._process.start()
                settings = tracking_server.settings(self._workspace)
        if self._ended.is_set():
            return
        if self._mirror is None:
            server = TrackingServer(settings.address)
            if not server.healthy(settings.patience):
                why = f": {self._process.said}" if self._process and self._process.said else ""
                raise TrainstackError(f"waiting for {settings.address}{why}")
            artifacts = self._workspace.history / "artifacts" if settings.embedded else None
            self._mirror = Mirror(self._workspace, server, artifacts)
            self.say(tracking_server.SERVING)
        self._mirror.turn()

    def _server(self, settings: tracking_server.Settings) -> Server:
        if settings.cluster is None:
            return MlflowProcess(self._workspace, self.say, self._ended.is_set)
        from trainstack.core.tracking.forwarded_server import ForwardedServer

        self._backoff = _CLUSTER_BACKOFF_SECONDS
        return ForwardedServer(self._workspace, settings.cluster)

    def _failed(self, reason: str) -> None:
        self._failures = min(self._failures + 1, 6)
        self._mirror = None
        self.say(reason)
        print(time.strftime("%Y-%m-%d %H:%M:%S"), reason, flush=True)


def main(root: str) -> None:
    """Keep the history of a workspace, unless somebody does already.

    Args:
        root: The workspace's folder.
    """
    workspace = Workspace.open(Path(root))
    with locks.try_exclusive(workspace.history / "lock", locks.LOOK_SECONDS) as mine:
        if not mine:
            return
        keeper = Keeper(workspace)
        signal.signal(signal.SIGTERM, keeper.request_end)
        signal.signal(signal.SIGINT, keeper.request_end)
        keeper.say("starting")
        keeper.run()


if __name__ == "__main__":
    main(sys.argv[1])
