"""Format metrics before and after an update, as tables for a terminal and as a comment."""

from __future__ import annotations

from collections.abc import Sequence

from trainstack.cli import markdown as md
from trainstack.cli import output
from trainstack.cli.format import number
from trainstack.core.preview.comparison import MetricDelta, ModelDelta


def markdown(deltas: Sequence[ModelDelta]) -> str:
    """The comparison as a comment."""
    lines = ["<!-- trainstack compare -->", "### Trainstack: what the update came to", ""]
    if not deltas:
        lines.append("The stack has no models.")
    for delta in deltas:
        lines += [f"**{md.code(delta.model)}**: {md.words(_outcome(delta))}{_served(delta)}", ""]
        if delta.metrics:
            columns = ("metric", "before", "after", "delta")
            cells = ([md.code(metric.name), *_values(metric)] for metric in delta.metrics)
            lines += [*md.table(columns, cells), ""]
    return md.limited(lines).rstrip()


def print_tables(deltas: Sequence[ModelDelta]) -> None:
    """Print the comparison for people."""
    if not deltas:
        output.say("the stack has no models")
    for delta in deltas:
        output.say(f"{delta.model}: {_outcome(delta)}")
        if delta.metrics:
            rows = [(metric.name, *_values(metric)) for metric in delta.metrics]
            output.table(("metric", "before", "after", "delta"), rows, indent=2)


def _outcome(delta: ModelDelta) -> str:
    if delta.before is None:
        return f"version {delta.after}, the first"
    if delta.same_bytes:
        return f"version {delta.after}, the same bytes as before"
    return f"version {delta.before} → {delta.after}"


def _served(delta: ModelDelta) -> str:
    return f", served by {', '.join(md.code(name) for name in delta.services)}" if delta.services else ", not served"


def _values(metric: MetricDelta) -> tuple[str, str, str]:
    delta = metric.delta
    return (
        "-" if metric.before is None else number(metric.before),
        "-" if metric.after is None else number(metric.after),
        "-" if delta is None else ("±0" if delta == 0 else f"{delta:+.6g}"),
    )
