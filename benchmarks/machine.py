"""The machine that a figure was measured on, and the one way in which pairs are compared."""

from __future__ import annotations

import json
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


RESULTS = "TRAINSTACK_BENCH_RESULTS"
"""Names the file that ratios are noted in while `make bench` runs."""


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
        """One row of the table in `benchmarks/README.md`; its ratio goes to the table of `make bench`."""
        ours, theirs = (f"{statistics.median(times):.2f} s" for times in (self.ours, self.theirs))
        note(what, self.ratio, ours, theirs, goal)
        return f"| {what} | {ours} | {theirs} | {self.ratio:.2f} | {self.difference:+.2f} s | {goal} |"


def note(what: str, ratio: float, ours: str, theirs: str, goal: str, *, more_is_better: bool = False) -> None:
    """Hand a ratio to the table that `make bench` writes; without one nothing happens.

    Args:
        what: What was compared; names the ratio from one day to the next.
        ratio: Ours over theirs.
        ours: Our figure, with its unit.
        theirs: Theirs.
        goal: What it should be.
        more_is_better: Whether a larger ratio is better.
    """
    if file := os.environ.get(RESULTS):
        entry = {"what": what, "ratio": ratio, "ours": ours, "theirs": theirs, "goal": goal}
        with Path(file).open("a") as opened:
            opened.write(json.dumps({**entry, "more_is_better": more_is_better}) + "\n")


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
