"""How a launch went: each node's agent writes `node-N.json`, the supervisor reads it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..document import build, mapping, write_json
from ..errors import LaunchError
from .lines import LineSplitter, plain

TAIL_LINES = 20
_LOG_END = 64 * 1024
STARTING, RUNNING, SUCCEEDED, FAILED, TERMINATED = "starting", "running", "succeeded", "failed", "terminated"


@dataclass
class RankReport:
    """One process.

    Attributes:
        rank: Its rank.
        role: `rank`, `chief`, `worker` or `ps`.
        index: Its number among those of its role.
        pid: Its process id, which is also that of its process group and session.
        started: Unix time, seconds.
        ended: Unix time, seconds; None while it runs.
        exit_code: What it returned; None while it runs or when a signal ended it.
        signal: Number of the signal that ended it.
        stopped: Whether the agent had asked it to end before it did.
    """

    rank: int
    role: str
    index: int
    pid: int
    started: float
    ended: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    stopped: bool = False


@dataclass
class Failure:
    """The failure that ended the run.

    Attributes:
        node: On which node.
        rank: Which rank; None when the node's agent itself was lost.
        exit_code: What the rank returned; None when a signal ended it.
        signal: Number of the signal that ended it.
        at: Unix time, seconds.
        reason: One line, such as `rank 1 exited with code 3`.
        tail: The last lines that the rank printed, at most 20, without colours.
    """

    node: int
    reason: str
    at: float
    rank: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    tail: tuple[str, ...] = ()


@dataclass
class NodeReport:
    """One node of a launch.

    Attributes:
        node: Its number.
        state: `starting`, `running`, `succeeded`, `failed` or `terminated`.
        agent_pid: Process id of the agent.
        started: Unix time, seconds.
        ended: Unix time, seconds; None until it has ended.
        ranks: Every process that was started here.
        first_failure: What failed first, on whichever node.
        error: Why nothing could be started, or an empty string.
        log_error: Why the log could not be kept whole, or an empty string.
        added_files: What its ranks left in the working folder, which nobody keeps; the first 100.
        added_count: How many such files there are.
    """

    node: int
    state: str
    agent_pid: int
    started: float
    ended: float | None = None
    ranks: list[RankReport] = field(default_factory=list[RankReport])
    first_failure: Failure | None = None
    error: str = ""
    log_error: str = ""
    added_files: tuple[str, ...] = ()
    added_count: int = 0

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Replace this node's report in `folder`, whole or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        write_json(report_path(folder, self.node), {"version": 1, **asdict(self)})


def report_path(folder: str | os.PathLike[str], node: int) -> Path:
    """Return where the report of `node` is.

    Args:
        folder: The plan's `reports`.
        node: The node's number.
    """
    return Path(folder) / f"node-{node}.json"


def read_report(folder: str | os.PathLike[str], node: int) -> NodeReport | None:
    """Read a node's report.

    Args:
        folder: The plan's `reports`.
        node: The node's number.

    Returns:
        The report, or None when its agent has not written one yet.

    Raises:
        LaunchError: The file is damaged.
    """
    path = report_path(folder, node)
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise LaunchError(f"{path} is damaged: {exc}") from exc
    values = mapping(document, str(path))
    values.pop("version", None)
    values["ranks"] = [build(RankReport, mapping(rank, "rank")) for rank in values["ranks"]]
    failure: Any = values["first_failure"]
    values["first_failure"] = failure and failure_from_json(failure)
    values["added_files"] = tuple(values.get("added_files", ()))
    return NodeReport(**values)


def last_lines(path: str | os.PathLike[str], count: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log, without colours and control characters.

    Args:
        path: The log; when there is none, there are no lines.
        count: How many lines at most.
    """
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_END))
            data = file.read()
    except OSError:
        return []
    splitter = LineSplitter()
    lines = splitter.feed(data) + splitter.finish()
    return [plain(line) for line in lines[-count:]]


def failure_from_json(document: Any) -> Failure:
    """Build a failure from what `dataclasses.asdict` made of one.

    Raises:
        LaunchError: It is something else.
    """
    return build(Failure, mapping(document, "first_failure"))
