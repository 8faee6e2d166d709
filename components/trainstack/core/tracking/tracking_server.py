"""A workspace's tracking server, as everything else sees it: declare, start, wait for, stop and reset it.

One process a workspace, the tracking daemon (`trainstack.core.history.daemon`), runs the embedded server and mirrors
the run directories into it. It holds `history/lock` for as long as it lives, so "is it running?" never rests on a
process id. To a server on a cluster it forwards a port; to the address of a user's own server it only mirrors.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable

from trainstack import process_environment
from trainstack.core.daemons import daemonize
from trainstack.core.tracking.settings import ClusterServer, Settings, read_settings, write_settings
from trainstack.core.tracking.token import read_token
from trainstack.core.workspace.store_cache import address_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrackingError, TrainstackError
from trainstack.mlflow.guard.token_gate import TOKEN_PARAMETER
from trainstack.mlflow.rest_client import TrackingServer, checked_address
from trainstack.storage import locks
from trainstack.storage.atomic import read_json

SWITCH = "TRAINSTACK_TRACKING"
"""Set to `off`, this variable keeps daemons from starting on their own; runs are recorded all the same."""
SERVING = "serving"
"""The daemon's status while all is well."""
STATUS_FILE = "daemon.json"
"""Below the history: the daemon's process id and status."""
_START_SECONDS = 300.0
_END_SECONDS = 20.0
# A daemon that has not taken its lock by then has failed; a busy machine needs seconds to load it.
_LOCK_SECONDS = 20.0


def declare(workspace: Workspace, tracking_uri: str | None, cluster: ClusterServer | None = None) -> Settings:
    """Declare where the history is kept: at an address, on a cluster, or embedded.

    A daemon of another server is stopped; the next run starts one for the new server.

    Raises:
        InvalidInputError: The address is not usable.
    """
    before = read_settings(workspace)
    address = checked_address(tracking_uri) if tracking_uri else ""
    if (address, cluster) == (before.tracking_uri, before.cluster):
        return before
    stop(workspace)
    return write_settings(workspace, Settings(address, before.port, cluster))


def connect(workspace: Workspace, *, timeout: float = 30.0) -> TrackingServer:
    """Return a client of the workspace's server, with the token that the embedded one asks for.

    Args:
        workspace: The workspace.
        timeout: Seconds that a call may take.
    """
    settings = read_settings(workspace)
    token = read_token(workspace) if settings.embedded else None
    return TrackingServer(settings.address, token=token, timeout=timeout)


def client_variables(workspace: Workspace) -> dict[str, str]:
    """Return the variables by which an MLflow client finds the workspace's server and is let in."""
    settings = read_settings(workspace)
    token = {"MLFLOW_TRACKING_TOKEN": read_token(workspace)} if settings.embedded else {}
    return {"MLFLOW_TRACKING_URI": settings.address, **token}


def link(workspace: Workspace) -> str:
    """Return the address of the workspace's training runs for a browser, with the token that logs it in.

    Without its last part MLflow opens on its page for language models.
    """
    settings = read_settings(workspace)
    token = f"?{TOKEN_PARAMETER}={read_token(workspace)}" if settings.embedded else ""
    with contextlib.suppress(TrackingError), contextlib.closing(connect(workspace)) as server:
        experiment = server.experiment(workspace.name)
        return f"{settings.address}/{token}#/experiments/{experiment}/runs?workflowType=machine_learning"
    return f"{settings.address}/{token}"


def running(workspace: Workspace) -> bool:
    """Return whether the daemon runs."""
    return locks.is_locked(workspace.history / "lock")


def start_in_background(workspace: Workspace) -> None:
    """Start the daemon unless it runs; wait for nothing and never fail."""
    if os.environ.get(SWITCH) == "off" or running(workspace):
        return
    with contextlib.suppress(OSError, TrainstackError):
        _start(workspace)


def ensure(workspace: Workspace, progress: Callable[[str], None] = lambda _: None) -> str:
    """Start the server unless it runs, and wait until it answers.

    Args:
        workspace: The workspace.
        progress: Called with what it waits for.

    Returns:
        Its address.

    Raises:
        TrainstackError: It does not answer; the message says why and where its log is.
    """
    _start(workspace)
    start = time.monotonic()
    while time.monotonic() < start + _START_SECONDS:
        settings = read_settings(workspace)
        server = TrackingServer(settings.address)
        try:
            # While no daemon serves, the port may be another workspace's.
            if running(workspace) and daemon_status(workspace) == SERVING and server.healthy(settings.health_timeout):
                return settings.address
        finally:
            server.close()
        if not running(workspace) and time.monotonic() - start > _LOCK_SECONDS:
            break
        progress(daemon_status(workspace) or "starting")
        time.sleep(0.1)
    raise TrainstackError(
        f"the tracking server does not answer: {daemon_status(workspace)}; see {workspace.history / 'log.txt'}"
    )


def stop(workspace: Workspace) -> None:
    """Stop the daemon and the embedded server; the history stays.

    Raises:
        TrainstackError: The daemon does not end.
    """
    path = workspace.history / STATUS_FILE
    deadline = time.monotonic() + _END_SECONDS
    signaled = 0
    while running(workspace):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            pid = int(read_json(path)["pid"])
            # The id is the daemon's own for as long as the lock is held.
            if pid != signaled and running(workspace):
                os.kill(pid, signal.SIGTERM)
                signaled = pid
        if time.monotonic() > deadline:
            raise TrainstackError(
                f"the tracking server of {workspace.root} does not end: end process {signaled} by hand"
            )
        time.sleep(0.05)


def reset(workspace: Workspace) -> None:
    """Remove the embedded server's database and links: the next server gets everything anew.

    Raises:
        TrainstackError: It is running, or the history is kept elsewhere.
    """
    if not read_settings(workspace).embedded:
        raise TrainstackError(
            "the history is on a server that others may use too: delete the experiment there, and it comes anew"
        )
    with locks.try_exclusive(workspace.history / "lock") as acquired:
        if not acquired:
            raise TrainstackError("the tracking server is running: stop it with `trainstack ui --stop`")
        for path in workspace.history.glob("mlflow.db*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(workspace.history / "artifacts", ignore_errors=True)


def daemon_status(workspace: Workspace) -> str:
    """Return the daemon's own status, in a few words."""
    with contextlib.suppress(FileNotFoundError, KeyError, TrainstackError):
        return str(read_json(workspace.history / STATUS_FILE)["status"])
    return ""


def _start(workspace: Workspace) -> None:
    """Start a daemon. Of several that start at once one gets the lock, and the others end."""
    if not running(workspace):
        log = workspace.history / "log.txt"
        patterns = [*process_environment.PACKAGES, *process_environment.TRACKING]
        if read_settings(workspace).cluster is not None:
            patterns += process_environment.KUBERNETES
        if address_of(workspace.root):
            patterns += process_environment.CLOUD
        daemonize.start(
            "trainstack.core.history.daemon",
            str(workspace.root),
            folder=workspace.root,
            log=log,
            variables=process_environment.selected(patterns),
            # Training comes first: the daemon yields the processor.
            nice=10,
        )
