"""`trainstack fsck`: check that nothing in the workspace is damaged."""

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

    Exits with 1 when something is damaged, and says what to do about each.
    """
    from trainstack.core.maintenance.fsck import verify

    opened = open_workspace(workspace)
    with _progress(visible=not as_json and sys.stderr.isatty()) as progress:
        report = verify(opened, progress)
    if as_json:
        damages = [
            {
                "kind": damage.kind,
                "name": damage.name,
                "path": str(damage.path),
                "problem": damage.problem,
                "advice": damage.advice,
            }
            for damage in report.damages
        ]
        output.emit_json(
            {"whole": not damages, "files": report.files, "bytes": report.size, "damages": damages},
        )
    else:
        if report.damages:
            rows = [(damage.kind, damage.name, damage.problem, damage.advice) for damage in report.damages]
            output.table(("kind", "name", "problem", "what to do"), rows)
        many = len(report.damages)
        state = f"{many} damaged" if many else "all whole"
        output.say(f"{report.files:,} files, {format.size(report.size)} read: {state}")
    if report.damages:
        raise typer.Exit(FAILED)


@contextlib.contextmanager
def _progress(*, visible: bool) -> Generator[Callable[[int, int], None]]:
    if not visible:
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
