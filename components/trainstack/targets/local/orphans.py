"""Processes of a run that nobody waits for any more: found by the variable that all of them carry, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from trainstack.targets.local.node import MARKER


def remove_all(marker: Path, *, patience: float = 5.0) -> int:
    """SIGKILL every process that carries the run's marker, and wait until they are gone.

    Args:
        marker: The run directory.
        patience: Seconds to wait for the kernel.

    Returns:
        How many processes there were.
    """
    killed = set[int]()
    deadline = time.monotonic() + patience
    while (alive := processes(marker)) and time.monotonic() < deadline:
        killed |= alive
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return len(killed)


def processes(marker: Path) -> set[int]:
    """Live processes that carry a run's marker in their environment; empty where there is no `/proc`."""
    variable = f"{MARKER}={marker}".encode()
    pids: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(entry.name) == os.getpid() or variable not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            # A zombie's environment reads as empty, so what is found here still runs.
            pids.add(int(entry.name))
    return pids
