"""`trainstack workspace create`: make an empty workspace, one that a stack has lost in particular."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption
from trainstack.errors import InvalidInputError


def create(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Its folder.")],
    name: Annotated[str, typer.Option("--name", help="Its name.")],
    workspace_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The id that a stack's state knows a lost one by.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create an empty workspace.

    With the id of one that is lost for good, `pulumi refresh` finds that all it held is gone, and `pulumi up` makes it
    again.
    """
    from trainstack.core.workspace.workspace import Workspace

    folder = folder.expanduser().absolute()
    if folder.is_dir() and any(folder.iterdir()):
        raise InvalidInputError(f"{folder} is not empty: move it away, or name another folder", field="folder")
    workspace = Workspace.create(folder, name, workspace_id)
    if as_json:
        output.emit_json({"name": workspace.name, "folder": str(workspace.root), "id": workspace.id})
    else:
        output.say(f"created workspace {workspace.name} ({workspace.id}) at {workspace.root}")
