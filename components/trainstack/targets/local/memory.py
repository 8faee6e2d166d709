"""What the kernel of this machine tells of memory: how much there is, and how often it ran out."""

from __future__ import annotations

import os
from pathlib import Path

from trainstack.targets.base import Capacity

# Where the kernel counts the processes that it ended for want of memory: in this process's cgroup, else in all.
_CGROUPS = Path("/sys/fs/cgroup")


def machine() -> Capacity:
    """What this machine holds: the CPUs this process may use, and its memory."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    # One GPU a device file is the driver's own convention; no vendor library is imported for it.
    gpus = sum(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev"))  # noqa: PTH208
    return Capacity(cpus=cpus, memory_gib=round(memory, 1), gpus=gpus)


def oom_kills(cgroups: Path = _CGROUPS, proc: Path = Path("/proc")) -> int | None:
    """How many processes the kernel has ended for want of memory; none where it does not say.

    Args:
        cgroups: Where control groups are mounted.
        proc: Where the kernel tells of processes.
    """
    counts = [_counter(path) for path in _counters(cgroups, proc)]
    known_counts = [count for count in counts if count is not None]
    return sum(known_counts) if known_counts else None


def _counters(cgroups: Path, proc: Path) -> list[Path]:
    counters = [proc / "vmstat"]
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return counters
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            counters.append(cgroups / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            counters.append(cgroups / "memory" / path.lstrip("/") / "memory.oom_control")
    return counters


def _counter(path: Path) -> int | None:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) == 2 and words[0] == "oom_kill":
                return int(words[1])
    except (OSError, ValueError):
        return None
    return None
