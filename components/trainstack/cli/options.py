"""Options that many commands share, and the workspace that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainstack.cli.completion import run_names
from trainstack.errors import TrainstackError

if TYPE_CHECKING:
    from trainstack.core.runs.directory import RunDirectory
    from trainstack.core.workspace.workspace import Workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        envvar="TRAINSTACK_WORKSPACE",
        show_envvar=True,
        metavar="FOLDER",
        help="The workspace's folder or address; else what .trainstack/config.json here or above names.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the start of one, or a name.", autocompletion=run_names)
]


def open_workspace(folder: Path | None) -> Workspace:
    """Open a workspace.

    Args:
        folder: Its folder or address; looked for from the working folder upwards when none is given.

    Raises:
        NotFoundError: No file here or above names one.
        WorkspaceNotFoundError: There is none.
    """
    from trainstack.core.workspace import config

    if folder is None:
        folder, _ = config.find(Path.cwd())
    return open_at(folder)


def location_of(directory: RunDirectory) -> str:
    """Return where a run's files are, for people: its folder, or their address in an object store."""
    from trainstack.core.workspace.store_cache import address_of

    address = address_of(directory.root.parents[1])
    return f"{address}/runs/{directory.id}" if address else str(directory.root)


def open_at(folder: Path) -> Workspace:
    """Open the workspace in a folder, or this machine's copy of one in an object store.

    Raises:
        WorkspaceNotFoundError: There is none.
        TrainstackError: It is damaged, or of a newer Trainstack.
    """
    from trainstack.core.workspace.workspace import Workspace
    from trainstack.storage.object_store.address import address_in

    if address_in(folder):
        from trainstack.core.replication import shared

        return shared.refreshed(folder)
    folder = folder.expanduser().absolute()
    try:
        return Workspace.open(folder)
    except (KeyError, TypeError) as exc:
        raise TrainstackError(f"{folder / 'workspace.json'} is damaged: restore it, or move it away") from exc


def find_run(folder: Path | None, reference: str) -> RunDirectory:
    """Find a run of a workspace.

    Raises:
        NotFoundError: There is no such run or workspace.
        InvalidInputError: The start of an id fits several runs.
    """
    from trainstack.core.runs.index import resolve

    return resolve(open_workspace(folder), reference)
