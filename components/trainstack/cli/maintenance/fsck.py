"""`trainstack fsck`: check that nothing in the workspace is damaged."""

from __future__ import annotations

from typing import Annotated

import typer

from trainstack.abbreviation import counted
from trainstack.cli import format, output
from trainstack.cli.command_group import FAILED
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace
from trainstack.cli.progress import bytes_progress


def fsck(
    workspace: WorkspaceOption = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write damaged records of runs anew from their histories first.")
    ] = False,
    environments: Annotated[
        bool, typer.Option("--environments", help="Also read the environments that are built on this machine.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read all blobs, datasets, models and runs, and compare them with their digests.

    Exits with 1 when something is damaged, and says what to do about each.
    """
    from trainstack.core.maintenance import store_fsck
    from trainstack.core.maintenance.environment_check import verify_environments
    from trainstack.core.maintenance.fsck import verify
    from trainstack.core.maintenance.repair import repair_run_records
    from trainstack.core.workspace.origin import origin_of

    opened = open_workspace(workspace)
    store = origin_of(opened.root)
    repaired = repair_run_records(opened) if repair and store is None else []
    with bytes_progress(as_json=as_json) as progress:
        report = store_fsck.verify(store, progress) if store else verify(opened, progress)
    reports = [report, *([verify_environments()] if environments else [])]
    files, size = sum(report.files for report in reports), sum(report.size for report in reports)
    damages = [damage for report in reports for damage in report.damages]
    if as_json:
        described = [
            {
                "kind": damage.kind,
                "name": damage.name,
                "path": str(damage.path),
                "problem": damage.problem,
                "advice": damage.advice,
            }
            for damage in damages
        ]
        output.emit_json(
            {
                "whole": not damages,
                "files": files,
                "bytes": size,
                "damages": described,
                "repaired": [{"path": str(path), "note": note} for path, note in repaired],
            },
        )
    else:
        for path, note in repaired:
            output.say(f"{path.parent.name}: {note}")
        if damages:
            rows = [(damage.kind, damage.name, damage.problem, damage.advice) for damage in damages]
            output.table(("kind", "name", "problem", "what to do"), rows)
        many = len(damages)
        state = f"{many} damaged" if many else "all whole"
        output.say(f"{counted(files, 'file')}, {format.size(size)} read: {state}")
    if damages:
        raise typer.Exit(FAILED)
