"""A daemon that stays with a run of a workspace in an object store, on the machine that drives it.

It pushes checkpoints, logs and records as they are written: should the machine die, another one goes on from there. It
waits for the run's lease, which `pulumi up` has while it follows the run. When `up` has ended or was killed, it keeps
the lease for as long as the run goes on, so that no other machine starts the run again, and pushes what it came to.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from trainstack import process_environment
from trainstack.core.daemons import daemonize
from trainstack.core.replication import shared
from trainstack.core.replication.changes import push_changes
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.workspace.store_cache import address_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.storage.addresses import open_store

_LOOK_SECONDS = 1.0
_PUSH_SECONDS = 5.0


def start(workspace: Workspace, run_id: str) -> None:
    """Start the daemon; it ends at once where one is with the run already."""
    log = workspace.root / "cache" / "publishers" / f"{run_id}.txt"
    credentials = process_environment.selected(process_environment.CLOUD)
    daemonize.start(__name__, str(workspace.root), run_id, folder=workspace.root, log=log, variables=credentials)


def main(root: str, run_id: str) -> None:
    """Stay with a run until it has ended and the store has it.

    Args:
        root: The machine's copy of the workspace.
        run_id: The run.
    """
    workspace = Workspace.open(Path(root))
    run = RunDirectory(workspace.run(run_id))
    ended = threading.Event()
    with locks.try_exclusive(workspace.root / "locks" / f"publish-{run_id}") as alone:
        if not alone:
            return
        threading.Thread(target=_push, args=(workspace, run, ended), daemon=True).start()
        with shared.publishing(workspace, f"runs/{run_id}"):
            while run.has_supervisor():
                time.sleep(_LOOK_SECONDS)
            ended.set()


def _push(workspace: Workspace, run: RunDirectory, ended: threading.Event) -> None:
    """Push what the run writes while it goes on."""
    store = open_store(address_of(workspace.root))
    while not ended.wait(_PUSH_SECONDS):
        # A store that does not answer for a while gets it later.
        with contextlib.suppress(TrainstackError):
            if run.has_supervisor():
                push_changes(workspace, store, [f"runs/{run.id}"], going_on=True)
