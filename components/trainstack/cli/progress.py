"""A progress bar over bytes, on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator


@contextlib.contextmanager
def bytes_progress(*, as_json: bool) -> Generator[Callable[[int, int], None]]:
    """Show how far a command is, on standard error where that is a terminal.

    Args:
        as_json: Whether the command prints JSON, and no bar.

    Yields:
        Takes the bytes that are done and all of them.
    """
    if as_json or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
