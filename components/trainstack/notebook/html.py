"""Runs and sweeps as HTML for a notebook. What people and scripts wrote is escaped; nothing is loaded, nothing runs."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from trainstack.core.runs.diff import seconds
from trainstack.core.runs.record import RunRecord
from trainstack.core.sweeps.record import SweepRecord
from trainstack.core.sweeps.sweep import parameter_texts, progress_line

_COLOURS = {"completed": "#2e7d32", "failed": "#c62828", "canceled": "#8d6e63", "interrupted": "#8d6e63"}
_GOING = "#1565c0"
_MOST_TRIALS = 20
_WIDTH, _HEIGHT = 120, 24


Row = tuple[RunRecord, Mapping[str, Any], Mapping[str, float]]
"""Of one run its record, its parameters and its last metrics."""


def run(record: RunRecord, parameters: Mapping[str, Any], series: Mapping[str, Sequence[float]]) -> str:
    """A run: what it is, its parameters, and each metric's last value and curve.

    Args:
        record: Where it is.
        parameters: The script's arguments.
        series: All values of each metric.
    """
    took = f" · {seconds(record.duration)}" if record.duration is not None else ""
    head = f"<b>{escape(record.name)}</b> <code>{escape(record.id)}</code> {_badge(record.status.value)}{took}"
    reason = f"<div>{escape(record.reason)}</div>" if record.reason else ""
    parameter_table = _table(
        ("parameter", "value"), [(escape(name), escape(_text(value))) for name, value in parameters.items()]
    )
    metric_table = _table(
        ("metric", "last", ""),
        [(escape(name), _number(values[-1]), sparkline(values)) for name, values in series.items() if values],
    )
    return f'<div class="trainstack">{head}{reason}{parameter_table}{metric_table}</div>'


def runs(rows: Sequence[Row]) -> str:
    """Runs as rows: what they were given and what they came to, one column a parameter and a metric.

    Args:
        rows: Record, parameters and last metrics of each.
    """
    parameter_names = list(dict.fromkeys(name for _, parameters, _ in rows for name in parameters))
    metric_names = list(dict.fromkeys(name for _, _, metrics in rows for name in metrics))
    cells = [
        (
            f"<code>{escape(record.id[:8])}</code>",
            escape(record.name),
            _badge(record.status.value),
            *(escape(_text(parameters.get(name, ""))) for name in parameter_names),
            *(_number(metrics[name]) if name in metrics else "" for name in metric_names),
        )
        for record, parameters, metrics in rows
    ]
    columns = ("run", "name", "status", *map(escape, parameter_names + metric_names))
    return f'<div class="trainstack">{_table(columns, cells)}</div>'


def sweep(record: SweepRecord, plot: bytes | None = None) -> str:
    """A sweep: where it is, its best trials, and what moves the metric.

    Args:
        record: Where it is.
        plot: The picture of the parameters' importance, an SVG.
    """
    head = f"<b>{escape(record.name)}</b> <code>{escape(record.id)}</code> {_badge(record.status)}"
    sign = -1 if record.goal == "maximize" else 1
    trials = sorted(record.trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0.0)))
    rows = [
        (
            str(trial.number),
            _badge(trial.state),
            "" if trial.value is None else _number(trial.value),
            escape(", ".join(parameter_texts(trial.parameters))),
            f"<code>{escape(trial.run_id[:8])}</code>",
        )
        for trial in trials[:_MOST_TRIALS]
    ]
    more = len(trials) - len(rows)
    omitted = f"<div>and {more} more</div>" if more > 0 else ""
    # As a picture of its own, an SVG can neither run anything nor share names with the page.
    picture = (
        f'<img alt="importance" src="data:image/svg+xml;base64,{base64.b64encode(plot).decode()}">' if plot else ""
    )
    table = _table(("trial", "state", escape(record.metric), "parameters", "run"), rows)
    return f'<div class="trainstack">{head}<div>{escape(progress_line(record))}</div>{table}{omitted}{picture}</div>'


def sparkline(values: Sequence[float]) -> str:
    """A curve as a small SVG; empty for less than two finite values."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    span = high - low or 1.0
    points = " ".join(
        f"{2 + (_WIDTH - 4) * place / (len(finite) - 1):.1f},{_HEIGHT - 2 - (_HEIGHT - 4) * (value - low) / span:.1f}"
        for place, value in enumerate(finite)
    )
    line = f'<polyline points="{points}" fill="none" stroke="{_GOING}" stroke-width="1.5"/>'
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="curve">{line}</svg>'


def _badge(status: str) -> str:
    return f'<span style="color:{_COLOURS.get(status, _GOING)}">{escape(status)}</span>'


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; nothing for no rows."""
    if not rows:
        return ""
    head = "".join(f'<th style="text-align:left">{name}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
