"""A daemon that stays with a run of a workspace in an object store, on the machine that drives it.

It waits for the run's lease, which `pulumi up` has while it follows the run. When `up` has ended or was killed, it
keeps the lease for as long as the run goes on, so that no other machine starts the run again, and pushes what it came
to.
"""

from __future__ import annotations

import time
from pathlib import Path

from trainstack.core.daemons import daemonize
from trainstack.core.replication import shared
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage import locks

_LOOK_SECONDS = 1.0


def start(workspace: Workspace, run_id: str) -> None:
    """Start the daemon, unless one is with the run already."""
    log = workspace.root / "cache" / "publishers" / f"{run_id}.txt"
    daemonize.start(__name__, str(workspace.root), run_id, folder=workspace.root, log=log)


def main(root: str, run_id: str) -> None:
    """Stay with a run until it has ended and the store has it.

    Args:
        root: The machine's copy of the workspace.
        run_id: The run.
    """
    workspace = Workspace.open(Path(root))
    directory = RunDirectory(workspace.run(run_id))
    with (
        locks.try_exclusive(workspace.root / "locks" / f"publish-{run_id}") as alone,
        shared.publishing(workspace, f"runs/{run_id}"),
    ):
        while alone and directory.has_supervisor():
            time.sleep(_LOOK_SECONDS)
