"""What the tracking daemon still has to mirror: a file for each changed run, model or sweep of a workspace.

Runs never wait for the daemon. It moves the files of `history/queue` to `history/pending`, and removes each when the
server has everything about it.
"""

from __future__ import annotations

import contextlib

from trainstack.core.workspace.workspace import Workspace

MODEL_PREFIX = "model@"
"""Before a model's name in the queue."""
SWEEP_PREFIX = "sweep@"
"""Before a sweep's id in the queue."""


def enqueue(workspace: Workspace, name: str) -> None:
    """Queue a changed run (by its id), model or sweep.

    It never fails: the history can be built anew.

    Args:
        workspace: Its workspace.
        name: The run's id, or a model or sweep with its prefix.
    """
    with contextlib.suppress(OSError):
        queue = workspace.history / "queue"
        queue.mkdir(parents=True, exist_ok=True)
        (queue / name).touch()


def is_pending(workspace: Workspace, name: str) -> bool:
    """Return whether the server has still to be told of something.

    Args:
        workspace: Its workspace.
        name: The run's id, or a model or sweep with its prefix.
    """
    return any((workspace.history / folder / name).exists() for folder in ("queue", "pending"))
