"""The machine that a figure was measured on, and the one way in which pairs are compared."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


def description() -> str:
    """Processor, cores, memory, system and the versions that matter, in one line."""
    names = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, pulumi {version('pulumi')}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


@dataclass(frozen=True)
class Pair:
    """Seconds of two ways to do the same, run in turns."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """Median of ours over theirs, pair by pair: what drifts with the machine drops out."""
        return statistics.median(one / other for one, other in zip(self.ours, self.theirs, strict=True))

    @property
    def difference(self) -> float:
        """Median of ours less theirs, pair by pair, in seconds."""
        return statistics.median(one - other for one, other in zip(self.ours, self.theirs, strict=True))

    def row(self, what: str, goal: str) -> str:
        """One row of the table in `benchmarks/README.md`."""
        return (
            f"| {what} | {statistics.median(self.ours):.2f} s | {statistics.median(self.theirs):.2f} s "
            f"| {self.ratio:.2f} | {self.difference:+.2f} s | {goal} |"
        )


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> Pair:
    """Time both in turns, after one uncounted call of each."""
    ours()
    theirs()
    found = Pair([], [])
    for _ in range(pairs):
        found.ours.append(seconds(ours))
        found.theirs.append(seconds(theirs))
    return found


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
