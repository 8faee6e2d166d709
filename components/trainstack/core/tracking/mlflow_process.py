"""The embedded MLflow server: a process of its own, in an environment of its own, that dies with the daemon."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trainstack.agent.ranks import pdeathsig_exec
from trainstack.core.environments import environment
from trainstack.core.tracking import database
from trainstack.core.tracking.settings import listen, read_settings
from trainstack.core.tracking.token import read_token
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.mlflow import server_settings
from trainstack.mlflow.guard.token_gate import TOKEN_DIGEST
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage.path_address import file_address

ENVIRONMENT = "mlflow-3"
_START_SECONDS = 180.0
_PDEATHSIG_EXEC = Path(pdeathsig_exec.__file__)
_APP_FOLDER = Path(server_settings.__file__).parent
# Only these are inherited: no secret of the shell reaches the server.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


class MlflowProcess:
    """One server on 127.0.0.1, with SQLite and a folder of the workspace."""

    def __init__(self, workspace: Workspace, report: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        self._workspace = workspace
        self._report = report
        self._stopped = stopped
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def problem(self) -> str:
        """Empty: what the server prints is in the daemon's log."""
        return ""

    def start(self) -> None:
        """Build the environment if it is missing, start the server, and wait until it answers.

        Raises:
            TrainstackError: The environment cannot be built, or the server does not come up.
        """
        spec = environment.get_curated(ENVIRONMENT)
        built = environment.build(spec, environment.lock(spec), lambda line: self._report(f"MLflow: {line}"))
        # The socket stays open, so that no other process takes the port between two servers.
        self._socket = self._socket or listen(self._workspace)
        self._report("MLflow is starting")
        folder = self._workspace.history
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # The server works in that folder: an address of SQLAlchemy's cannot hold every path.
        stores = server_settings.stores(f"sqlite:///{database.NAME}")
        variables = inherited | stores | server_settings.variables(file_address(folder / "artifacts"))
        variables[TOKEN_DIGEST] = hashlib.sha256(read_token(self._workspace).encode()).hexdigest()
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        python = [sys.executable, "-I", "-S", str(_PDEATHSIG_EXEC), str(os.getpid()), str(built.python)]
        database.ensure(folder / database.NAME, built.folder, python, variables)
        command = [*python, "-P", "-m", "uvicorn", "--fd", str(self._socket.fileno()), "--log-level", "warning"]
        # Standard output is the daemon's: history/log.txt.
        self._process = subprocess.Popen(
            [*command, "--app-dir", str(_APP_FOLDER), "guard.app:app"],
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=variables,
            pass_fds=[self._socket.fileno()],
        )
        self._wait(read_settings(self._workspace).address)

    def stop(self) -> None:
        """Terminate the server, and kill it when it does not end."""
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
                    raise TrainstackError("MLflow ended while it started; its output is in log.txt")
                if time.monotonic() > deadline:
                    self.stop()
                    raise TrainstackError(f"MLflow did not answer within {_START_SECONDS:g} s")
                if self._stopped():
                    return
                time.sleep(0.1)
        finally:
            server.close()
