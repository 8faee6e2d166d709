"""`trainstack fsck`: is everything that the workspace keeps what it was."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator

import typer

from trainstack.cli import format, output
from trainstack.cli.command_group import FAILED
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace


def fsck(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Read all blobs, datasets, models and runs, and compare them with their digests.

    Ends with 1 when something is damaged, and says what to do about each.
    """
    from trainstack.core.maintenance.fsck import verify

    opened = open_workspace(workspace)
    with _progress(shown=not as_json and sys.stderr.isatty()) as progress:
        found = verify(opened, progress)
    if as_json:
        damages = [
            {"kind": it.kind, "name": it.name, "path": str(it.path), "problem": it.problem, "advice": it.advice}
            for it in found.damages
        ]
        output.emit_json(
            {"whole": not damages, "files": found.files, "bytes": found.size, "damages": damages},
        )
    else:
        if found.damages:
            rows = [(it.kind, it.name, it.problem, it.advice) for it in found.damages]
            output.table(("kind", "name", "problem", "what to do"), rows)
        many = len(found.damages)
        state = f"{many} damaged" if many else "all whole"
        output.say(f"{found.files:,} files, {format.size(found.size)} read: {state}")
    if found.damages:
        raise typer.Exit(FAILED)


@contextlib.contextmanager
def _progress(*, shown: bool) -> Generator[Callable[[int, int], None]]:
    if not shown:
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
