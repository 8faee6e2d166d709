"""Pictures of numbers, as SVG or PNG. Matplotlib is loaded when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any


def bars(title: str, values: Mapping[str, float]) -> bytes:
    """Horizontal bars, the greatest on top, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 0.8 + 0.4 * len(values)), layout="constrained")
    axes: Any = figure.subplots()
    names = list(values)[::-1]
    drawn = axes.barh(names, [values[name] for name in names], color="#4878a8")
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return _written(figure, "svg")


def lines(title: str, series: Mapping[str, Sequence[tuple[int, float]]], form: str) -> bytes:
    """A line a series, of step and value, as `svg` or `png`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes: Any = figure.subplots()
    for name, points in series.items():
        axes.plot(
            [step for step, _ in points], [value for _, value in points], label=name, marker="." * (len(points) < 50)
        )
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.legend()
    axes.grid(alpha=0.3)
    return _written(figure, form)


def _written(figure: Any, form: str) -> bytes:
    buffer = io.BytesIO()
    # Without the date: the same numbers give the same picture.
    figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else None, dpi=120)
    return buffer.getvalue()
