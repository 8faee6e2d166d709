"""References to one version of a dataset or model, as the command line takes them: `NAME[:VERSION]`."""

from __future__ import annotations

import typer

FORM = "NAME[:VERSION]"


def parsed(text: str) -> tuple[str, int | None]:
    """Return name and version; none for the newest, or for all.

    Raises:
        typer.BadParameter: It has another form.
    """
    name, colon, version = text.partition(":")
    if not name or (colon and not (version.isdecimal() and int(version) > 0)):
        raise typer.BadParameter(f"{text!r} is not {FORM}: write it like tf-dnn-mnist:2")
    return name, int(version) if colon else None
