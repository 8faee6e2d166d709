"""Print tables and lines for people, JSON for programs.

Into a pipe nothing is coloured, cut or folded, and lines end where their text does; on a terminal wide cells fold.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from trainstack.agent.reporting.lines import plain

if TYPE_CHECKING:
    from rich.console import Console

# Wide enough that no row of a table is ever folded in a file or a pipe.
_UNFOLDED = 100_000
_STYLES = {
    **dict.fromkeys(("completed", "ready", "serving", "ok"), "green"),
    **dict.fromkeys(("failed", "broken", "down"), "red"),
    **dict.fromkeys(("canceled", "interrupted", "warning"), "yellow"),
    **dict.fromkeys(("preparing", "scaling", "running", "finalizing"), "cyan"),
}


def emit_json(value: Any) -> None:
    """Print a value as one JSON document; numbers that JSON does not have (NaN, infinities) become null."""
    typer.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def emit_json_line(value: Any) -> None:
    """Print a value as one line of JSON, at once."""
    typer.echo(json.dumps(_finite(value), allow_nan=False))


def say(text: str) -> None:
    """Print a line for people."""
    typer.echo(printable(text))


def note(text: str) -> None:
    """Print a line for people beside what the command prints: on standard error."""
    typer.echo(printable(text), err=True)


def printable(value: object) -> str:
    """Turn a value into text for a terminal: line ends become spaces, control characters go; a dash for nothing."""
    text = "" if value is None else str(value)
    return plain(" ".join(text.split("\n")), len(text)) or "-"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, header: bool = True, indent: int = 0) -> None:
    """Print a table.

    Args:
        columns: The headings; the first names the row and is the last to be folded.
        rows: A cell a column; names of states are coloured.
        header: Whether to print the headings.
        indent: Spaces before each row.
    """
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="bold")
    for number, name in enumerate(columns):
        grid.add_column(Text(name), overflow="fold", no_wrap=number == 0)
    for row in rows:
        grid.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in map(printable, row)))
    _print(Padding(grid, (0, 0, 0, indent), expand=False))


def section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a titled table, set off by an empty line; nothing at all without rows."""
    if rows:
        from rich.text import Text

        _print(Text(f"\n{title}", style="bold"))
        table(columns, rows, header=False, indent=2)


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNFOLDED
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width)


def _print(renderable: Any) -> None:
    console = _console()
    with console.capture() as captured:
        console.print(renderable)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), color=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
