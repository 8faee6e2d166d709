"""The embedded MLflow server: a process of its own, in an environment of its own, that dies with the keeper."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trainstack.agent.ranks import pdeathsig_exec
from trainstack.core.environments import environment
from trainstack.core.tracking import database, tracking_server
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.mlflow import server_settings
from trainstack.mlflow.rest_client import TrackingServer

ENVIRONMENT = "mlflow-3"
_START_SECONDS = 180.0
_PDEATHSIG_EXEC = Path(pdeathsig_exec.__file__)
# Only what finds programs and places: no secret of the shell reaches the server.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


class MlflowProcess:
    """One server on 127.0.0.1, with SQLite and a folder of the workspace."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None], ended: Callable[[], bool]) -> None:
        self._workspace = workspace
        self._say = say
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        """Nothing: what it says is in the keeper's log."""
        return ""

    def start(self) -> None:
        """Build the environment where it is missing, start the server and wait until it answers.

        Raises:
            TrainstackError: The environment cannot be built, or the server does not come up.
        """
        spec = environment.get_curated(ENVIRONMENT)
        built = environment.build(spec, environment.lock(spec), lambda line: self._say(f"MLflow: {line}"))
        # It goes on listening: between two servers the port is nobody else's.
        self._socket = self._socket or tracking_server.listen(self._workspace)
        self._say("MLflow is starting")
        folder = self._workspace.history
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        stores = server_settings.stores(f"sqlite:///{folder / database.NAME}")
        variables = kept | stores | server_settings.variables((folder / "artifacts").as_uri())
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        python = [sys.executable, "-I", "-S", str(_PDEATHSIG_EXEC), str(os.getpid()), str(built.python)]
        database.ready(folder / database.NAME, built.folder, python, variables)
        command = [*python, "-m", "uvicorn", "--fd", str(self._socket.fileno()), "--log-level", "warning"]
        # Standard output is the keeper's: history/log.txt.
        self._process = subprocess.Popen(
            [*command, "mlflow.server.fastapi_app:app"],
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=variables,
            pass_fds=[self._socket.fileno()],
        )
        self._wait(tracking_server.settings(self._workspace).address)

    def end(self) -> None:
        """End the server, gently at first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self, address: str) -> None:
        server = TrackingServer(address)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while not server.healthy():
                if not self.alive:
                    raise TrainstackError("MLflow ended while it started; what it said is in log.txt")
                if time.monotonic() > deadline:
                    self.end()
                    raise TrainstackError(f"MLflow did not answer within {_START_SECONDS:g} s")
                if self._ended():
                    return
                time.sleep(0.1)
        finally:
            server.close()
