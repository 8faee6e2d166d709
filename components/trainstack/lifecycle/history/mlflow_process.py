"""The embedded MLflow server: a process of its own, in an environment of its own, that dies with the keeper."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trainstack import launch
from trainstack.errors import TrainstackError
from trainstack.lifecycle.environments import environment
from trainstack.lifecycle.history import database, service
from trainstack.lifecycle.workspace import Workspace
from trainstack.tracking.server import TrackingServer

ENVIRONMENT = "mlflow-3"
_START_SECONDS = 180.0
_TETHER = Path(str(launch.__file__)).with_name("tether.py")
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

    def start(self) -> None:
        """Build the environment where it is missing, start the server and wait until it answers.

        Raises:
            TrainstackError: The environment cannot be built, or the server does not come up.
        """
        spec = environment.get_curated(ENVIRONMENT)
        built = environment.build(spec, environment.lock(spec), lambda line: self._say(f"MLflow: {line}"))
        settings, listening = self._listen()
        self._say("MLflow is starting")
        folder = self._workspace.history
        store = f"sqlite:///{folder / database.NAME}"
        variables = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_REGISTRY_STORE": store,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": (folder / "artifacts").as_uri(),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        python = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), str(built.python)]
        database.ready(folder / database.NAME, built.folder, python, variables)
        command = [*python, "-m", "uvicorn", "--fd", str(listening), "--log-level", "warning"]
        # Standard output is the keeper's: history/log.txt.
        self._process = subprocess.Popen(
            [*command, "mlflow.server.fastapi_app:app"],
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=variables,
            pass_fds=[listening],
        )
        self._wait(settings.address)

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

    def _listen(self) -> tuple[service.Settings, int]:
        """Listen where the server is to be, unless that is done: between two servers the port is nobody else's."""
        settings = service.settings(self._workspace)
        if self._socket is None:
            try:
                self._socket = service.listening(settings.port)
            except OSError:
                settings = service.moved(self._workspace, service.free_port())
                return self._listen()
        return settings, self._socket.fileno()

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
