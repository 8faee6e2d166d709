"""`trainstack workspace`: copy it between a folder and a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli import format, output, workspace_create
from trainstack.cli.command_group import FAILED, command_group
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace
from trainstack.cli.progress import bytes_progress
from trainstack.errors import NotFoundError

if TYPE_CHECKING:
    from trainstack.core.replication.replication import Report
    from trainstack.storage.store import Store

app = command_group("The workspace as a whole: create, push to a store, pull from one.")

AddressArgument = Annotated[
    str,
    typer.Argument(metavar="ADDRESS", help="s3://BUCKET/FOLDER, gs://… or az://…; or a folder."),
]


@app.command("push")
def push(address: AddressArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Copy what a store does not have yet of the workspace.

    Called again after an interruption, it goes on. Exits with 1 when something was left out because it is damaged, or
    because the store has another version of it.
    """
    from trainstack.core.replication import copies
    from trainstack.storage.addresses import open_store

    opened, store = open_workspace(workspace), open_store(address)
    with bytes_progress(as_json=as_json) as progress:
        report = copies.push(opened, store, progress)
    _print(report, "pushed", opened.name, opened.root, store, as_json=as_json)


@app.command("pull")
def pull(address: AddressArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Copy what the workspace's folder does not have yet from a store.

    The folder is made when it is missing. Called again after an interruption, it goes on. Exits with 1 when something
    was left out because it is damaged in the store, or because the folder has another version of it.
    """
    from trainstack.core.replication import copies
    from trainstack.core.workspace import config
    from trainstack.storage.addresses import open_store

    store = open_store(address)
    try:
        root = workspace or config.find(Path.cwd())[0]
    except NotFoundError as exc:
        raise NotFoundError("no workspace here or above: name the folder to pull into with --workspace FOLDER") from exc
    with bytes_progress(as_json=as_json) as progress:
        opened, report = copies.pull(store, root.expanduser().absolute(), progress)
    _print(report, "pulled", opened.name, opened.root, store, as_json=as_json)


def _print(report: Report, did: str, name: str, root: Path, store: Store, *, as_json: bool) -> None:
    if as_json:
        output.emit_json(
            {
                "workspace": name,
                "folder": str(root),
                "address": store.address,
                "files": report.files,
                "bytes": report.size,
                "running": report.running,
                "conflicts": report.conflicts,
                "damages": report.damages,
            }
        )
    else:
        for unit in report.running:
            output.say(f"left out: {unit} goes on; {did.removesuffix('ed')} again when it has ended")
        for key in report.conflicts:
            output.say(f"conflict: {key} was changed in the folder and in the store; neither was touched")
        for damage in report.damages:
            output.say(f"damaged: {damage}")
        place = f"from {store.address} into {root}" if did == "pulled" else f"from {root} to {store.address}"
        output.say(f"{did} {report.files:,} files, {format.size(report.size)}, of workspace {name} {place}")
    if report.conflicts or report.damages:
        raise typer.Exit(FAILED)


app.command("create")(workspace_create.create)
