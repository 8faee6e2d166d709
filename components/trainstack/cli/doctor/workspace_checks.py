"""The doctor's checks of a workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from trainstack.cli.doctor.check import Check, broken, ok, warning
from trainstack.cli.doctor.machine_checks import room
from trainstack.cli.options import open_at
from trainstack.core.workspace import config
from trainstack.core.workspace.layout import LAYOUT
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrainstackError


def find(folder: Path | None) -> tuple[Workspace | None, Check]:
    """Find and open the workspace.

    Args:
        folder: Its folder; looked for from the working folder upwards when none is given.
    """
    if folder is None:
        try:
            folder, _ = config.find(Path.cwd())
        except NotFoundError:
            advice = "run `pulumi up` in a project, or name one with --workspace"
            return None, warning("workspace", "none here or above", advice)
        except TrainstackError as exc:
            return None, broken("workspace", str(exc))
    try:
        workspace = open_at(folder)
    except TrainstackError as exc:
        return None, broken("workspace", str(exc))
    return workspace, ok("workspace", f"{workspace.name} at {workspace.root}, layout {LAYOUT}")


def disk(workspace: Workspace) -> Iterator[Check]:
    """Room for data and runs."""
    yield room("disk", workspace.root)


def runs(workspace: Workspace) -> Iterator[Check]:
    """Runs that were cut off, and records that cannot be read."""
    from trainstack.cli.runs.run_state import never_started
    from trainstack.core.runs.directory import RunDirectory, Status

    count = 0
    whole = True
    for path in sorted(workspace.runs.glob("*/run.json")):
        count += 1
        directory = RunDirectory(path.parent)
        try:
            directory.read_file()
            record = directory.read()
        except TrainstackError as exc:
            whole = False
            problem, _, advice = str(exc).partition(": ")
            yield warning("run", problem, advice)
            continue
        if record.status is Status.INTERRUPTED or never_started(directory, record):
            whole = False
            reason = record.reason if record.status is Status.INTERRUPTED else "its submission was killed"
            yield warning("run", f"{record.name} ({record.id}) was interrupted, {reason}", "`pulumi up` resumes it")
    if whole:
        yield ok("runs", f"{count} in the workspace, none interrupted")


def services(workspace: Workspace) -> Iterator[Check]:
    """Services that should run and do not."""
    from trainstack.core.services.service import list_services, status

    running = 0
    whole = True
    for record in list_services(workspace):
        health = status(workspace, record.name)
        if health.state == "healthy":
            running += 1
        elif record.status != "stopped":
            whole = False
            advice = "run `pulumi refresh`, then `pulumi up`"
            if health.state == "starting":
                yield warning("service", health.detail, "wait a moment and look again")
            else:
                yield broken("service", health.detail, advice)
    if whole:
        yield ok("services", f"{running} healthy")


CHECKS: dict[str, Callable[[Workspace], Iterator[Check]]] = {check.__name__: check for check in (disk, runs, services)}
