"""Metrics that an MLflow client wrote to its file store, read while it is still writing.

A run's variables point MLflow at a folder of the run directory, one a rank, so any client version works and nothing
has to be up. The store's layout is MLflow's own: `EXPERIMENT/RUN/metrics/NAME`, a line `TIMESTAMP VALUE STEP` a call.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True)
class Point:
    """One logged value: milliseconds since the epoch, the value, the step."""

    time: int
    value: float
    step: int


def variables(folder: PurePath) -> dict[str, str]:
    """Environment variables that make an MLflow client log below `folder`; `{rank}` is filled in for each rank."""
    return {
        "MLFLOW_TRACKING_URI": f"file://{folder}/rank-{{rank}}",
        # Newer clients want this said before they write files; older ones ignore it.
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }


def read(folder: Path, rank: int = 0) -> dict[str, list[Point]]:
    """All points of one rank, by metric, in the order of their time.

    Several attempts log to several MLflow runs; their points are put together. A line that is still being written
    is left for the next look.
    """
    metrics: dict[str, list[Point]] = {}
    for run in (folder / f"rank-{rank}").glob("*/*/metrics"):
        for path in run.rglob("*"):
            if path.is_file():
                metrics.setdefault(path.relative_to(run).as_posix(), []).extend(_points(path))
    for points in metrics.values():
        points.sort(key=lambda point: (point.time, point.step))
    return {name: points for name, points in sorted(metrics.items()) if points}


def last(folder: Path, rank: int = 0) -> dict[str, float]:
    """The last value of each metric."""
    return {name: points[-1].value for name, points in read(folder, rank).items()}


def _points(path: Path) -> list[Point]:
    points: list[Point] = []
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            words = line.split()
            if line.endswith("\n") and len(words) >= 2:
                with contextlib.suppress(ValueError):
                    points.append(Point(int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0))
    return points
