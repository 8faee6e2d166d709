"""Metrics before and after an update, as tables for a terminal and as a comment."""

from __future__ import annotations

from collections.abc import Sequence

from trainstack.cli import markdown as md
from trainstack.cli import output
from trainstack.cli.format import number
from trainstack.core.preview.comparison import MetricDelta, ModelDelta


def markdown(found: Sequence[ModelDelta]) -> str:
    """The comparison as a comment."""
    lines = ["<!-- trainstack compare -->", "### Trainstack: what the update came to", ""]
    if not found:
        lines.append("The stack has no models.")
    for one in found:
        lines += [f"**{md.code(one.model)}**: {md.words(_became(one))}{_served(one)}", ""]
        if one.metrics:
            columns = ("metric", "before", "after", "delta")
            cells = ([md.code(metric.name), *_values(metric)] for metric in one.metrics)
            lines += [*md.table(columns, cells), ""]
    return md.limited(lines).rstrip()


def print_tables(found: Sequence[ModelDelta]) -> None:
    """Print the comparison for people."""
    if not found:
        output.say("the stack has no models")
    for one in found:
        output.say(f"{one.model}: {_became(one)}")
        if one.metrics:
            rows = [(metric.name, *_values(metric)) for metric in one.metrics]
            output.table(("metric", "before", "after", "delta"), rows, indent=2)


def _became(one: ModelDelta) -> str:
    if one.before is None:
        return f"version {one.after}, the first"
    if one.same_bytes:
        return f"version {one.after}, the same bytes as before"
    return f"version {one.before} → {one.after}"


def _served(one: ModelDelta) -> str:
    return f", served by {', '.join(md.code(name) for name in one.services)}" if one.services else ", not served"


def _values(metric: MetricDelta) -> tuple[str, str, str]:
    delta = metric.delta
    return (
        "-" if metric.before is None else number(metric.before),
        "-" if metric.after is None else number(metric.after),
        "-" if delta is None else ("±0" if delta == 0 else f"{delta:+.6g}"),
    )
