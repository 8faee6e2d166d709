"""The command line's root: its help and `--version`. Its commands are in `commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from trainstack.cli.command_group import RootGroup, command_group, help_when_bare

app = command_group(
    "List, follow and stop training runs, list what they use and make, check the machine.", cls=RootGroup
)


def _version(requested: bool) -> None:
    if requested:
        from importlib import metadata

        try:
            typer.echo(f"trainstack {metadata.version('trainstack')}")
        except metadata.PackageNotFoundError:
            typer.echo("trainstack, not installed as a package")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    help_when_bare(context)
