"""`trainstack ui`: open the run history in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace


def ui(
    stop: Annotated[bool, typer.Option("--stop", help="Stop the server; the history stays.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Delete the database and build it again.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the run history in the browser.

    Starts the workspace's MLflow server if it is not running, and prints its address.
    """
    from trainstack.core.tracking import tracking_server

    opened = open_workspace(workspace)
    if stop or rebuild:
        tracking_server.stop(opened)
    if stop:
        output.emit_json({"address": None}) if as_json else output.say("the tracking server is stopped")
        return
    if rebuild:
        tracking_server.reset(opened)
    lines: list[str] = []

    def progress(line: str) -> None:
        if lines[-1:] != [line]:
            lines.append(line)
            output.note(line)

    address = tracking_server.ensure(opened, progress)
    if as_json:
        output.emit_json({"address": address})
        return
    output.say(address)
    if not no_browser:
        import webbrowser

        webbrowser.open(address)
