"""Where a workspace's tracking server is: an address, a cluster, or a port of this machine."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.mlflow.rest_client import checked_address
from trainstack.storage import locks
from trainstack.storage.atomic import read_json, write_json

_PORTS = range(5100, 5500)


@dataclass(frozen=True)
class ClusterServer:
    """A workspace's own server on a cluster.

    Attributes:
        context: Context of the kubeconfig; empty for its current one.
        namespace: Its namespace.
        name: The name of its objects.
    """

    context: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Settings:
    """Where a workspace's server is.

    Attributes:
        tracking_uri: The address of a server that is reached as it is; empty otherwise.
        port: The port on 127.0.0.1 of the embedded one, or of the one on a cluster.
        cluster: The server on a cluster that the port leads to; none for the embedded one.
    """

    tracking_uri: str
    port: int
    cluster: ClusterServer | None = None

    @property
    def address(self) -> str:
        """The address for scripts, notebooks and browsers."""
        return self.tracking_uri or f"http://127.0.0.1:{self.port}"

    @property
    def health_timeout(self) -> float:
        """Seconds for a health check: through the API server of a cluster it takes longer."""
        return 2.0 if self.cluster is None else 10.0

    @property
    def embedded(self) -> bool:
        """Whether the daemon runs it."""
        return not self.tracking_uri and self.cluster is None


def read_settings(workspace: Workspace) -> Settings:
    """Return where the server is; the first call chooses a port, which stays."""
    with contextlib.suppress(FileNotFoundError):
        return _read(workspace)
    with locks.exclusive(workspace.history / "settings.lock"):
        with contextlib.suppress(FileNotFoundError):
            return _read(workspace)
        return write_settings(workspace, Settings("", free_port()))


def write_settings(workspace: Workspace, settings: Settings) -> Settings:
    """Write where the server is, and return it."""
    write_json(_path(workspace), asdict(settings))
    return settings


def change_port(workspace: Workspace, port: int) -> Settings:
    """Change the port, when another process has taken the one before."""
    return write_settings(workspace, replace(read_settings(workspace), port=port))


def free_port() -> int:
    """Return a port of 127.0.0.1 that no process listens on.

    Raises:
        TrainstackError: None is free.
    """
    for port in _PORTS:
        with contextlib.suppress(OSError):
            listening(port).close()
            return port
    raise TrainstackError(f"no free port from {_PORTS[0]} to {_PORTS[-1]} for the tracking server: end one")


def listening(port: int) -> socket.socket:
    """Listen on a port of 127.0.0.1.

    Raises:
        OSError: Another process does.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def listen(workspace: Workspace) -> socket.socket:
    """Listen on the workspace's port; when another process has taken it, change to another one.

    Raises:
        TrainstackError: No port is free.
    """
    while True:
        try:
            return listening(read_settings(workspace).port)
        except OSError:
            change_port(workspace, free_port())


def _path(workspace: Workspace) -> Path:
    return workspace.history / "settings.json"


def _read(workspace: Workspace) -> Settings:
    document = read_json(_path(workspace))
    cluster = ClusterServer(**document["cluster"]) if document.get("cluster") else None
    uri = str(document.get("tracking_uri", ""))
    return Settings(checked_address(uri) if uri else "", int(document["port"]), cluster)
