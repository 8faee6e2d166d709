"""Follow a run to its end, telling its progress in one line at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from trainstack.agent.reporting.report import last_lines
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.errors import NotFoundError, RunFailedError, TrainstackError
from trainstack.mlflow import metric_files as tracking

TICK = 0.1
SHOW_SECONDS = 1.0


def follow(directory: RunDirectory, progress: Callable[[str], None] = lambda _: None) -> RunRecord:
    """Wait for a run to end, telling its progress in one line at a time.

    Returns:
        The record of the completed run.

    Raises:
        RunFailedError: It failed, was canceled or interrupted; says how, with the last lines and the log's path.
        TrainstackError: Its record is damaged, and nobody drives it who would write it anew.
    """
    last_line, last_update, stage = "", float("-inf"), None
    while True:
        record = _read(directory)
        due = time.monotonic() - last_update >= SHOW_SECONDS
        if due:
            # The supervisor of a run with `on_disconnect: stop` looks at this.
            with contextlib.suppress(OSError):
                (directory.root / "followed").touch()
            last_update = time.monotonic()
        if record is not None:
            if record.status is Status.COMPLETED:
                return record
            if record.status.ended:
                raise RunFailedError(failure_text(record))
            # Metrics are read once a second: more often would take the cores that the ranks compute on.
            if due or (record.status, record.reason) != stage:
                stage = record.status, record.reason
                line = progress_line(directory, record)
                if line != last_line:
                    progress(last_line := line)
        time.sleep(TICK)


def progress_line(directory: RunDirectory, record: RunRecord) -> str:
    """The run's state in one line: stage, seconds, reason; of a running one first metrics, else the last line printed.

    A narrow terminal cuts a row at its end.
    """
    stage = record.stages[-1] if record.stages else None
    # Between two attempts the last stage is that of the one before.
    lasting = stage is not None and stage.name is record.status
    words = [f"{record.status.value} {int(stage.seconds)} s" if stage and lasting else record.status.value]
    if record.reason:
        words.append(record.reason)
    if record.status is Status.RUNNING:
        points = tracking.read(directory.tracking)
        if points:
            step = max(series[-1].step for series in points.values())
            values = ", ".join(f"{name} {series[-1].value:.4g}" for name, series in list(points.items())[:4])
            words[:0] = [values, f"step {step}"]
        elif last := last_lines(directory.merged_log, 1):
            words.insert(0, last[0][:80])
    return " · ".join(words)


def failure_text(record: RunRecord) -> str:
    """Why a run ended, the last lines it printed, and how to go on."""
    text = f"run {record.name} ({record.id}) {record.status.value}: {record.reason}"
    if record.failure and record.failure.tail:
        text += "\n" + "\n".join(f"  | {line}" for line in record.failure.tail)
    return text


def _read(directory: RunDirectory) -> RunRecord | None:
    """The record; none while it is damaged and a supervisor lives, which replaces it at its next step."""
    try:
        return directory.read()
    except NotFoundError:
        raise
    except TrainstackError:
        if not directory.has_supervisor():
            return directory.read()
        return None
