"""Which ends of an attempt another attempt can cure, and how long to wait before it.

A signal, a lost node or a lack of memory come from outside the script; the same code may well succeed when started
again. An exit code is the script's own word and is believed, unless its author lists it.
"""

from __future__ import annotations

import signal
from pathlib import Path

from trainstack.lifecycle.compute import Capacity
from trainstack.lifecycle.run_record import Cause, Failure, RunRequest

LONGEST_BACKOFF = 300.0
# Where the kernel counts the processes that it ended for want of memory: in this process's cgroup, else in all.
_CGROUPS = Path("/sys/fs/cgroup")


def curable(failure: Failure | None, request: RunRequest) -> bool:
    """Whether starting the same script again may end better.

    Args:
        failure: How the attempt failed; none when it failed before the script could.
        request: What the run's author wants retried.
    """
    if failure is None:
        return False
    if failure.cause in (Cause.SIGNAL, Cause.LOST_NODE, Cause.OUT_OF_MEMORY):
        return True
    return failure.cause is Cause.EXIT_CODE and failure.exit_code in request.retry_exit_codes


def backoff(first: float, tries: int) -> float:
    """Seconds to wait after so many tries: the first pause doubles each time, up to five minutes."""
    return min(first * 2.0 ** min(tries - 1, 30), max(first, LONGEST_BACKOFF))


def out_of_memory(failure: Failure, kills_before: int | None, kills_now: int | None) -> bool:
    """Whether the kernel ended the script for want of memory, as far as its counters tell."""
    if failure.signal != signal.SIGKILL or kills_before is None or kills_now is None:
        return False
    return kills_now > kills_before


def memory_hint(holds: Capacity, compute: str) -> str:
    """What to raise, in a few words."""
    return (
        f"the kernel ends processes when memory runs out; a node of {compute} has {holds.memory_gib:g} GiB: "
        "raise `vm_size`, or lower `max_nodes` or the batch size"
    )


def oom_kills(cgroups: Path = _CGROUPS, proc: Path = Path("/proc")) -> int | None:
    """How many processes the kernel has ended for want of memory; none where it does not say.

    Args:
        cgroups: Where control groups are mounted.
        proc: Where the kernel tells of processes.
    """
    counts = [_counter(path) for path in _counters(cgroups, proc)]
    found = [count for count in counts if count is not None]
    return sum(found) if found else None


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
