"""`trainstack ui`: open the run history in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.options import JsonOption, WorkspaceOption, open_workspace


def ui(
    stop: Annotated[bool, typer.Option("--stop", help="Stop the server; the history stays.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Delete the database and build it again.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the link.")] = False,
    variables: Annotated[
        bool, typer.Option("--variables", help="Only print shell lines that set what an MLflow client needs.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the run history in the browser.

    Starts the workspace's MLflow server if it is not running, and prints a link with the token that it asks for:
    whoever has the link can read and change what the server shows.
    """
    import shlex

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
    link, for_clients = tracking_server.link(opened), tracking_server.client_variables(opened)
    if as_json:
        output.emit_json({"address": address, "link": link, "variables": for_clients})
        return
    if variables:
        for name, value in for_clients.items():
            output.say(f"export {name}={shlex.quote(value)}")
        return
    output.say(link)
    if not no_browser:
        import webbrowser

        webbrowser.open(link)
