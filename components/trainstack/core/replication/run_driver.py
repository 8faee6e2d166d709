"""The program of a driver's pod: `python -m trainstack.core.replication.run_driver ADDRESS RUN`.

Drives a run of a workspace in an object store from its start or from where an earlier driver was killed, under the
run's lease, and pushes what it writes. It keeps nothing: killed at any moment, another one goes on, and the run's nodes
do not notice. So SIGTERM, which a drained machine sends, ends it at once and leaves the run alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from trainstack.core.replication import shared
from trainstack.core.replication.changes import push_changes
from trainstack.core.runs import reserve
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage.addresses import open_store
from trainstack.storage.store import Store

SECRETS = Path("/trainstack/secrets/variables.json")
"""Where the pod has the run's secret variables, as a JSON object."""
_SUPERVISOR = "trainstack.core.runs.execution.supervisor"
_PUSH_SECONDS = 3.0
_LOOK_SECONDS = 0.2


def main(address: str, run_id: str, secrets: Path = SECRETS) -> int:
    """Drive a run to its end.

    Args:
        address: The workspace's store.
        run_id: The run.
        secrets: The file with its secret variables.

    Returns:
        0 when the store has the run's end, whichever it is: what a run came to is in its record.

    Raises:
        TrainstackError: The store refuses or does not answer; another try may help.
    """
    signal.signal(signal.SIGTERM, _leave)
    store = open_store(address)
    workspace = shared.opened(Path(address))
    with shared.updating(workspace, f"runs/{run_id}", lambda owner: print(f"waits for {owner}", flush=True)):
        run = RunDirectory(workspace.run(run_id))
        run.fetch()
        if run.read_file().status.ended:
            return 0
        _drive(run, workspace, store, secrets.read_bytes())
        push_changes(workspace, store, [f"runs/{run_id}"], going_on=True)
    if not run.read_file().status.ended:
        raise TrainstackError(f"the supervisor of run {run_id} ended without an end of the run: see the log above")
    return 0


def _drive(run: RunDirectory, workspace: Workspace, store: Store, secrets: bytes) -> None:
    """Supervise the run in a process of its own, and push meanwhile."""
    attempts = str(run.read_file().attempt)
    supervisor = subprocess.Popen(
        [sys.executable, "-m", _SUPERVISOR, str(run.root), attempts],
        stdin=subprocess.PIPE,
        cwd=run.root,
    )
    ended = threading.Event()
    pushing = threading.Thread(target=_push, args=(run, workspace, store, ended), daemon=True)
    pushing.start()
    if supervisor.stdin is not None:
        with contextlib.suppress(BrokenPipeError), supervisor.stdin as pipe:
            pipe.write(secrets)
    supervisor.wait()
    ended.set()
    pushing.join()


def _push(run: RunDirectory, workspace: Workspace, store: Store, ended: threading.Event) -> None:
    """Push what the run writes, at once when its stage changes, and take in that its end is asked for."""
    pushed, due = b"", 0.0
    while not ended.wait(_LOOK_SECONDS):
        # A store that does not answer for a while gets it later.
        with contextlib.suppress(TrainstackError, OSError):
            record = (run.root / "run.json").read_bytes()
            if record == pushed and time.monotonic() < due:
                continue
            push_changes(workspace, store, [f"runs/{run.id}"], going_on=True)
            pushed, due = record, time.monotonic() + _PUSH_SECONDS
            _take_stop(run, store)


def _take_stop(run: RunDirectory, store: Store) -> None:
    with contextlib.suppress(FileNotFoundError):
        reserve.ask_to_stop(run.root, store.get(f"runs/{run.id}/{reserve.STOP}").data.decode(errors="replace"))


def _leave(_number: int, _frame: FrameType | None) -> None:
    # With this process, the first of its container, everything in it ends.
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2]))
    except TrainstackError as error:
        sys.exit(f"trainstack: {error}")
