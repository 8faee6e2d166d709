"""`trainstack ui`: the page of the run history."""

from __future__ import annotations

from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace


def ui(
    stop: Annotated[bool, typer.Option("--stop", help="End the server; what it shows stays.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Forget the database, and build it anew.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address alone.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the run history in the browser.

    Starts the workspace's MLflow server where it does not run, and prints its address.
    """
    from trainstack.core.tracking import tracking_server

    opened = open_workspace(workspace)
    if stop or rebuild:
        tracking_server.stop(opened)
    if stop:
        output.emit_json({"address": None}) if as_json else output.say("the tracking server is stopped")
        return
    if rebuild:
        tracking_server.forget(opened)
    said: list[str] = []

    def progress(line: str) -> None:
        if said[-1:] != [line]:
            said.append(line)
            output.note(line)

    address = tracking_server.ensure(opened, progress)
    if as_json:
        output.emit_json({"address": address})
        return
    output.say(address)
    if not no_browser:
        import webbrowser

        webbrowser.open(address)
