"""`trainstack lock`: pin what a stack's environments, data and tools come to, or refuse what has moved."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.cli.preview.plan import preview_text
from trainstack.errors import TrainstackError


def lock(
    stack: Annotated[
        str | None, typer.Option("--stack", metavar="STACK", help="The stack; the selected one when left out.")
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", metavar="FILE", help="What `pulumi preview --json --show-sames` printed."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; end with 1 when something is not as it was pinned.")
    ] = False,
) -> None:
    """Pin environments, base images, datasets and tools of a stack in a file to commit.

    The file is STACK.lock.json beside the stack's configuration. Environments that it pins are not resolved anew.
    """
    from trainstack.core.environments import pins
    from trainstack.core.preview import document, pinning
    from trainstack.core.workspace.project import pin_file, project_root

    root = project_root()
    shown = document.read_preview(preview_text(preview, stack, "--show-sames"))
    name = stack or shown.stack
    if not name:
        raise TrainstackError("the preview names no stack: give --stack")
    file = pin_file(root, name)
    before = pins.read_pins(file) if check else None
    found = pinning.find_pins(shown, root)
    for line in found.unknown:
        output.note(line)
    if before is None:
        if found.unknown:
            raise TrainstackError(f"{file} is not written: not everything is known yet")
        pins.write_pins(file, found.pins)
        pinned = f"{_count(found.pins.environments, 'environment')} and {_count(found.pins.datasets, 'dataset')}"
        output.say(f"{file}: {pinned} pinned")
        return
    known = before.model_copy(
        update={"datasets": {it: digest for it, digest in before.datasets.items() if it in found.pins.datasets}}
    )
    lines = pins.differences(known if found.unknown else before, found.pins)
    for line in lines:
        output.say(line)
    if lines:
        raise TrainstackError(f"{len(lines)} not as {file} pins: undo the change, or run `trainstack lock` and commit")
    output.say(f"all as {file} pins")


def _count(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
