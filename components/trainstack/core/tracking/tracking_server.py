"""The tracking server of a workspace, as everybody else sees it: where it is, that it is wanted, that it is to end.

One process a workspace, the keeper (`keeper.py`), runs the embedded server and tells it what the run directories hold.
It holds `history/lock` for as long as it lives, so "is it there?" never rests on a process id. To a server on a cluster
it leads a port; with the address of a user's own server it only does the telling. Runs never wait for it: what it still
has to be told lies in `queue/`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from trainstack.core.daemons import daemonize
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.mlflow.rest_client import TrackingServer, checked_address
from trainstack.storage import locks
from trainstack.storage.atomic import read_json, write_json

SWITCH = "TRAINSTACK_TRACKING"
"""Set to `off`, this variable keeps servers from being started by themselves; runs are kept all the same."""
MODEL_NOTE = "model@"
"""Before a model's name, this makes the name of its note."""
SWEEP_NOTE = "sweep@"
"""Before a sweep's id, this makes the name of its note."""
SERVING = "serving"
"""What the keeper says of itself while all is well."""
_PORTS = range(5100, 5500)
_START_SECONDS = 300.0
_END_SECONDS = 20.0
# A keeper that has not taken its lock by then has failed; a busy machine needs seconds to load it.
_COME_SECONDS = 20.0


@dataclass(frozen=True)
class ClusterServer:
    """A workspace's own server on a cluster.

    Attributes:
        context: Context of the kubeconfig; empty for its current one.
        namespace: Its namespace.
        name: What its objects are called.
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
        """Where scripts, notebooks and browsers reach it."""
        return self.tracking_uri or f"http://127.0.0.1:{self.port}"

    @property
    def patience(self) -> float:
        """Seconds in which it answers that it is well: the way through an API server is longer."""
        return 2.0 if self.cluster is None else 10.0

    @property
    def embedded(self) -> bool:
        """Whether the keeper runs it."""
        return not self.tracking_uri and self.cluster is None


def settings(workspace: Workspace) -> Settings:
    """Where the server is; a port is chosen when first asked for, and kept."""
    with contextlib.suppress(FileNotFoundError):
        return _settings(workspace)
    with locks.exclusive(workspace.history / "settings.lock"):
        with contextlib.suppress(FileNotFoundError):
            return _settings(workspace)
        return _write(workspace, Settings("", free_port()))


def declare(workspace: Workspace, tracking_uri: str | None, cluster: ClusterServer | None = None) -> Settings:
    """Say where the history is kept: at an address, on a cluster, or embedded.

    A keeper that serves another one is ended; the next run starts one for the new one.

    Raises:
        InvalidInputError: The address cannot be one.
    """
    before = settings(workspace)
    wanted = checked_address(tracking_uri) if tracking_uri else ""
    if (wanted, cluster) == (before.tracking_uri, before.cluster):
        return before
    stop(workspace)
    return _write(workspace, Settings(wanted, before.port, cluster))


def moved(workspace: Workspace, port: int) -> Settings:
    """Keep another port, where somebody else has taken the one before."""
    return _write(workspace, replace(settings(workspace), port=port))


def running(workspace: Workspace) -> bool:
    """Whether a keeper lives."""
    return locks.is_locked(workspace.history / "lock")


def want(workspace: Workspace) -> None:
    """See to it that a keeper is there, or comes; waits for nothing and never fails."""
    if os.environ.get(SWITCH) == "off" or running(workspace):
        return
    with contextlib.suppress(OSError, TrainstackError):
        _start(workspace)


def ensure(workspace: Workspace, progress: Callable[[str], None] = lambda _: None) -> str:
    """Start the server unless it is there, and wait until it answers.

    Args:
        workspace: The workspace.
        progress: Told what it waits for.

    Returns:
        Its address.

    Raises:
        TrainstackError: It does not come up; says why and where its log is.
    """
    _start(workspace)
    deadline = time.monotonic() + _START_SECONDS
    begun = time.monotonic()
    while time.monotonic() < deadline:
        there = settings(workspace)
        server = TrackingServer(there.address)
        try:
            # While no keeper says that it serves, the port may be another workspace's.
            if running(workspace) and told(workspace) == SERVING and server.healthy(there.patience):
                return there.address
        finally:
            server.close()
        if not running(workspace) and time.monotonic() - begun > _COME_SECONDS:
            break
        progress(told(workspace) or "starting")
        time.sleep(0.1)
    raise TrainstackError(
        f"the tracking server does not answer: {told(workspace)}; see {workspace.history / 'log.txt'}"
    )


def stop(workspace: Workspace) -> None:
    """End the keeper and the embedded server; what is in the history stays.

    Raises:
        TrainstackError: It does not end.
    """
    path = workspace.history / "keeper.json"
    deadline = time.monotonic() + _END_SECONDS
    asked = 0
    while running(workspace):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            pid = int(read_json(path)["pid"])
            # The id is the keeper's own for as long as the lock is held.
            if pid != asked and running(workspace):
                os.kill(pid, signal.SIGTERM)
                asked = pid
        if time.monotonic() > deadline:
            raise TrainstackError(f"the tracking server of {workspace.root} does not end: end process {asked} by hand")
        time.sleep(0.05)


def forget(workspace: Workspace) -> None:
    """Remove the embedded server's database and links: the next server is told everything anew.

    Raises:
        TrainstackError: It is running, or the history is kept elsewhere.
    """
    if not settings(workspace).embedded:
        raise TrainstackError(
            "the history is on a server that others may use too: delete the experiment there, and it comes anew"
        )
    with locks.try_exclusive(workspace.history / "lock") as mine:
        if not mine:
            raise TrainstackError("the tracking server is running: stop it with `trainstack ui --stop`")
        for path in workspace.history.glob("mlflow.db*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(workspace.history / "artifacts", ignore_errors=True)


def note(workspace: Workspace, name: str) -> None:
    """Say that a run, by its id, or a model has something to tell. Never fails: the history can be built anew."""
    with contextlib.suppress(OSError):
        queue = workspace.history / "queue"
        queue.mkdir(parents=True, exist_ok=True)
        (queue / name).touch()


def told(workspace: Workspace) -> str:
    """What the keeper says of itself, in a few words."""
    with contextlib.suppress(FileNotFoundError, KeyError, TrainstackError):
        return str(read_json(workspace.history / "keeper.json")["status"])
    return ""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

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
        OSError: Somebody else does.
    """
    found = socket.socket()
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", port))
        found.listen()
    except OSError:
        found.close()
        raise
    return found


def listen(workspace: Workspace) -> socket.socket:
    """Listen where the server is to be: at its port, or at another from now on where somebody has taken that.

    Raises:
        TrainstackError: No port is free.
    """
    while True:
        try:
            return listening(settings(workspace).port)
        except OSError:
            moved(workspace, free_port())


def _settings(workspace: Workspace) -> Settings:
    found = read_json(workspace.history / "settings.json")
    cluster = ClusterServer(**found["cluster"]) if found.get("cluster") else None
    return Settings(str(found.get("tracking_uri", "")), int(found["port"]), cluster)


def _write(workspace: Workspace, found: Settings) -> Settings:
    write_json(workspace.history / "settings.json", asdict(found))
    return found


def _start(workspace: Workspace) -> None:
    """Start a keeper. Of several at once, one gets the lock and the others end. Training comes first."""
    if not running(workspace):
        log = workspace.history / "log.txt"
        daemonize.start("trainstack.core.history.daemon", str(workspace.root), folder=workspace.root, log=log, nice=10)
