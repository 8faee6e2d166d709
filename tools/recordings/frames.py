"""What a terminal showed over time: pyte emulates it, and what looks the same is one frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyte

# Eyes follow no more than this; a longer pause is cut.
_LEAST_SECONDS = 0.12
_LONGEST_SECONDS = 1.5


@dataclass(frozen=True)
class Run:
    """Neighbouring cells of a row that look the same.

    Attributes:
        column: Where it begins.
        text: What it says.
        colour: A name of pyte's (`green`, `brightblack`, `default`), or six hex digits.
        bold: Whether it is bold.
    """

    column: int
    text: str
    colour: str
    bold: bool


Row = tuple[Run, ...]


@dataclass(frozen=True)
class Frame:
    """What was to be seen for a while.

    Attributes:
        rows: From the top; empty ones at the end are left out.
        seconds: For how long.
    """

    rows: tuple[Row, ...]
    seconds: float


def frames_of(output: Iterable[tuple[float, str]], columns: int, rows: int) -> list[Frame]:
    """Play what a terminal got.

    Args:
        output: Seconds since the start, and text.
        columns: The terminal's width.
        rows: Its height.
    """
    screen = pyte.Screen(columns, rows)
    stream = pyte.Stream(screen)
    shown: list[tuple[float, tuple[Row, ...]]] = []
    for when, text in output:
        stream.feed(text)
        looks = _looks(screen)
        if shown and looks == shown[-1][1]:
            continue
        if shown and when - shown[-1][0] < _LEAST_SECONDS:
            shown[-1] = (shown[-1][0], looks)
        else:
            shown.append((when, looks))
    ends = [when for when, _ in shown[1:]] + [shown[-1][0] + _LONGEST_SECONDS] if shown else []
    return [
        Frame(looks, min(end - when, _LONGEST_SECONDS)) for (when, looks), end in zip(shown, ends, strict=True)
    ]  # fmt: skip


def _looks(screen: pyte.Screen) -> tuple[Row, ...]:
    found = [_row([screen.buffer[line][column] for column in range(screen.columns)]) for line in range(screen.lines)]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _row(cells: Sequence[pyte.screens.Char]) -> Row:
    runs: list[Run] = []
    for column, cell in enumerate(cells):
        looks = ("default", False) if cell.data == " " else (cell.fg, cell.bold)
        # A wide character's second cell is empty.
        if runs and (looks == (runs[-1].colour, runs[-1].bold) or cell.data in (" ", "")):
            last = runs[-1]
            runs[-1] = Run(last.column, last.text + cell.data, last.colour, last.bold)
        elif cell.data.strip():
            runs.append(Run(column, cell.data, *looks))
    return tuple(Run(run.column, run.text.rstrip(), run.colour, run.bold) for run in runs)
