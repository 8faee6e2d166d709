"""Listing the runs of a workspace in an object store with a filter: from an empty cache, and again.

Usage: `python -m benchmarks.store_runs ADDRESS [--runs N]… [--picture FILE]`, with the store's credentials in the
environment. ADDRESS is a folder of a bucket, which is emptied first and afterwards.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from trainstack.core.replication import shared
from trainstack.core.runs import store_index
from trainstack.core.runs.record import RunRecord, Stage, Status
from trainstack.core.runs.store_index import Row
from trainstack.storage.addresses import open_store
from trainstack.storage.store import Store

_NAMES = 40
_STATUSES = (Status.COMPLETED, Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELED)


def rows(count: int) -> Iterator[Row]:
    """Yield runs as they are after a year of sweeps: four stages, three metrics, tags."""
    for number in range(count):
        began = 1_700_000_000.0 + 60 * number
        stages = [
            Stage(name=status, started=began + 7 * at, ended=began + 7 * at + 6.5)
            for at, status in enumerate((Status.PREPARING, Status.SCALING, Status.RUNNING, Status.FINALIZING))
        ]
        status = _STATUSES[number % len(_STATUSES)]
        record = RunRecord(
            id=f"{number:016x}",
            name=f"net-{number % _NAMES}",
            status=status,
            reason="train.py: rank 0 exited with code 1" if status is Status.FAILED else "",
            attempt=1,
            stages=stages,
            created=began,
            updated=began + 28,
            duration=6.5,
            metrics={"loss": 1 / (number + 1), "accuracy": 0.9, "val_loss": 0.123456789},
            tags={"user": "ann", "stack": "dev", "project": "nets", "commit": f"{number:040x}"},
        )
        yield Row(record.id, f"{number:016x}", record)


def fill(store: Store, count: int) -> None:
    """Write the index of a workspace with so many runs; lists read nothing else of those that have ended."""
    store_index.append(store, rows(count), store.get(store_index.MANIFEST))


def _listed(address: str, cache: Path, status: str) -> tuple[float, float]:
    """List, and return the seconds that passed and those of the processor."""
    command = [sys.executable, "-m", "trainstack.cli", "runs", "list", "--status", status, "--name", "net-8"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, "--limit", "20", "--workspace", address, "--json"],
        env={**os.environ, "TRAINSTACK_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    passed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(address: str, count: int) -> dict[str, float]:
    """Fill the folder with so many runs, list them, empty it; seconds from an empty cache, and the best again."""
    store = open_store(address)
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmarks-") as folder:
        try:
            store.delete_all([item.key for item in store.list()])
            os.environ["TRAINSTACK_CACHE"] = f"{folder}/first"
            shared.created(Path(address), "benchmark")
            fill(store, count)
            for label in ("from an empty cache", "again", "again"):
                passed, processor = _listed(address, Path(folder, "second"), "failed")
                print(f"{count:,} runs, {label}: {passed:.2f} s, {processor:.2f} s of the processor", flush=True)
                seconds[label] = min(passed, seconds.get(label, passed))
        finally:
            store.delete_all([item.key for item in store.list()])
    return seconds


def picture(path: Path, results: dict[int, dict[str, float]]) -> None:
    """Draw seconds over the number of runs, a curve for each way."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "trainstack"
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for label, marker in (("from an empty cache", "o"), ("again", "s")):
        axes.plot(list(results), [seconds[label] for seconds in results.values()], marker=marker, label=label)
    axes.set(
        xscale="log", xlabel="runs in the workspace", ylabel="seconds", ylim=(0, None), title="trainstack runs list"
    )
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure each number of runs, and draw them."""
    parser = argparse.ArgumentParser(description="`runs list` with a filter over a workspace in an object store.")
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("--runs", type=int, action="append", help="how many; may be given several times")
    parser.add_argument("--picture", type=Path, help="an SVG of all of them")
    options = parser.parse_args()
    results = {count: measured(options.address, count) for count in options.runs or [100_000]}
    if options.picture:
        picture(options.picture, results)


if __name__ == "__main__":
    main()
