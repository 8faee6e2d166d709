"""Metrics that an MLflow client writes to its file store, read while it is still writing.

A run's variables point MLflow at a folder of the run directory, one a rank, so any client version works, without
a server. The store's layout is MLflow's own: `EXPERIMENT/RUN/metrics/NAME`, a line `TIMESTAMP VALUE STEP` a call.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from trainstack.mlflow import plain_files
from trainstack.storage.path_address import file_address

# The numbers of MLflow's protocol buffers.
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_META = re.compile(r"^(start_time|end_time|status): (\d+)$", re.MULTILINE)
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_DELETED = re.compile(r"^lifecycle_stage: deleted$", re.MULTILINE)


@dataclass(frozen=True)
class Point:
    """One logged value.

    Attributes:
        time: Milliseconds since the epoch.
        value: The value.
        step: The step.
        context: What the client wrote behind the step: of a logged model's metric the run's id, then perhaps a
            dataset's name and digest.
    """

    time: int
    value: float
    step: int
    context: tuple[str, ...] = ()


def variables(folder: PurePath) -> dict[str, str]:
    """Environment variables that make an MLflow client log below `folder`; `{rank}` is filled in for each rank."""
    return {
        "MLFLOW_TRACKING_URI": file_address(folder, "rank-{rank}"),
        # Newer clients write files only with this variable; older ones ignore it.
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }


def read(folder: Path, rank: int = 0) -> dict[str, list[Point]]:
    """Return all points of one rank, by metric, in the order of their time.

    Several attempts log to several MLflow runs; their points are merged. A line that is still being written is left
    out.
    """
    metrics: dict[str, list[Point]] = {}
    for run in plain_files.matching(folder, f"rank-{rank}/*/*/metrics"):
        for path in plain_files.files_below(run):
            metrics.setdefault(_name(path, run), []).extend(_points(path))
    for points in metrics.values():
        points.sort(key=lambda point: (point.time, point.step))
    return {name: points for name, points in sorted(metrics.items()) if points}


def last(folder: Path, rank: int = 0) -> dict[str, float]:
    """Return the last value of each metric."""
    return {name: points[-1].value for name, points in read(folder, rank).items()}


@dataclass(frozen=True)
class LoggedRun:
    """A run as a client knows it: one call of `mlflow.start_run` in one process.

    Attributes:
        folder: Its folder in the store.
        rank: The process's rank; of system metrics the node's number.
        started: When it started, in seconds since the epoch; 0 where its file does not say.
        ended: When it ended, in seconds since the epoch; None while it goes on.
        status: Its status as MLflow calls it; `RUNNING` also after its process was killed.
        deleted: Whether the script deleted it.
    """

    folder: Path
    rank: int
    started: float = 0.0
    ended: float | None = None
    status: str = "RUNNING"
    deleted: bool = False

    @property
    def id(self) -> str:
        """The id that the client chose."""
        return self.folder.name

    @property
    def params(self) -> dict[str, str]:
        """Parameters that the script logged, by hand or by autologging."""
        return texts(self.folder / "params")

    @property
    def tags(self) -> dict[str, str]:
        """Its tags, the client's own (`mlflow.…`) among them."""
        return texts(self.folder / "tags")

    @property
    def artifacts(self) -> Path:
        """The files that the script logged."""
        return self.folder / "artifacts"


def runs(folder: Path) -> list[LoggedRun]:
    """Return the runs that clients have started, oldest first.

    Args:
        folder: The run's tracking folder.
    """
    started: list[LoggedRun] = []
    for meta in plain_files.matching(folder, "rank-*/*/*/meta.yaml"):
        # A registered model lies beside the experiments.
        if _RUN_ID.fullmatch(meta.parent.name) is None:
            continue
        with contextlib.suppress(OSError, ValueError):
            rank = int(meta.parents[2].name.removeprefix("rank-"))
            started.append(_logged_run(meta.parent, rank))
    # Of two of one millisecond the nested one is the later.
    return sorted(started, key=lambda run: (run.started, (run.folder / "tags" / "mlflow.parentRunId").exists()))


def system_metrics(folder: Path) -> list[LoggedRun]:
    """Return the system metrics that the agents recorded, by node.

    Args:
        folder: The run's tracking folder.
    """
    nodes: list[LoggedRun] = []
    for node in plain_files.matching(folder, "node-*"):
        with contextlib.suppress(ValueError):
            nodes.append(LoggedRun(node, int(node.name.removeprefix("node-"))))
    return sorted(nodes, key=lambda node: node.rank)


class NewPoints:
    """The new points of a logged run or model since the last call; reads only what was appended.

    Args:
        folder: The folder of the run or model.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "metrics"
        self._read: dict[Path, int] = {}

    def points(self) -> list[tuple[str, Point]]:
        """Return metric and point, by metric in the order in which they were written."""
        points: list[tuple[str, Point]] = []
        for path in plain_files.files_below(self._folder):
            name = _name(path, self._folder)
            with contextlib.suppress(OSError), plain_files.opened(path) as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    if (point := _point(line.decode(errors="replace"))) is not None:
                        points.append((name, point))
        return points


def _name(path: Path, folder: Path) -> str:
    """The name of what a file is about; the store that scripts find ends its folders with `~`."""
    return path.relative_to(folder).as_posix().replace("~/", "/")


def _logged_run(folder: Path, rank: int) -> LoggedRun:
    """Read the numbers in a run's `meta.yaml`, which its client replaces whole."""
    text = ""
    with contextlib.suppress(OSError):
        text = plain_files.read_text(folder / "meta.yaml")
    numbers = {name: int(value) for name, value in _META.findall(text)}
    started, ended = numbers.get("start_time", 0) / 1000, numbers.get("end_time")
    status = _STATUS.get(numbers.get("status", 0), "RUNNING")
    deleted = _DELETED.search(text) is not None
    return LoggedRun(folder, rank, started, None if ended is None else ended / 1000, status, deleted)


def texts(folder: Path) -> dict[str, str]:
    """Return names and values of a folder with a file for each, as the store keeps parameters and tags."""
    texts: dict[str, str] = {}
    for path in plain_files.files_below(folder):
        with contextlib.suppress(OSError):
            texts[_name(path, folder)] = plain_files.read_text(path)
    return texts


def _points(path: Path) -> list[Point]:
    with contextlib.suppress(OSError):
        lines = plain_files.read_text(path).splitlines(keepends=True)
        return [point for line in lines if line.endswith("\n") and (point := _point(line)) is not None]
    return []


def _point(line: str) -> Point | None:
    words = line.split()
    try:
        return Point(int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0, tuple(words[3:]))
    except (ValueError, IndexError):
        return None
