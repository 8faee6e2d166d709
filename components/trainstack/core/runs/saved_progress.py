"""What an earlier attempt saved: said in the row of a resumed run, from the files themselves."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from trainstack.mlflow import metric_files as tracking

# File times come from a coarser clock than metrics' times.
CLOCK_SLACK_MS = 10
_LATEST = re.compile(r'^model_checkpoint_path: ".*ckpt-(\d+)"', re.MULTILINE)


def sentence(checkpoints: Path, metrics: Path) -> str:
    """From where a script that resumes goes on, in a few words.

    A step counts as saved when its metrics were logged before the newest checkpoint was written. Steps are called
    epochs only where TensorFlow's own count of the checkpoints, one an epoch by default, says the same.

    Args:
        checkpoints: Where the script saves its state.
        metrics: The run's tracking folder.
    """
    newest = _newest(checkpoints)
    if newest is None:
        return "from the start: no checkpoint was saved"
    limit = newest // 1_000_000 + CLOCK_SLACK_MS
    steps = {point.step for points in tracking.read(metrics).values() for point in points if point.time <= limit}
    count = _keras_count(checkpoints)
    if count and steps and abs(count - len(steps)) <= 1:
        return f"from epoch {count} ({_counted(count, 'epoch')} saved)"
    if steps:
        return f"from its checkpoint ({_counted(len(steps), 'step')} saved, the last is step {max(steps)})"
    return "from its checkpoint"


def _newest(folder: Path) -> int | None:
    """When the newest file below a folder was written, in nanoseconds since the epoch."""
    times: list[int] = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                times.append(path.stat().st_mtime_ns)
    return max(times, default=None)


def _keras_count(folder: Path) -> int | None:
    """The number of TensorFlow's latest checkpoint, where there is one."""
    counts: list[int] = []
    for path in folder.rglob("checkpoint"):
        with contextlib.suppress(OSError):
            if path.is_file() and (match := _LATEST.search(path.read_text(encoding="utf-8", errors="replace"))):
                counts.append(int(match[1]))
    return max(counts, default=None)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
