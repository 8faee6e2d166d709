"""`trainstack lock`: pin a stack's environments, data and tools, or check that none has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainstack.abbreviation import counted
from trainstack.cli import output
from trainstack.cli.preview.pulumi_command import preview_text
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
        bool, typer.Option("--check", help="Write nothing; exit with 1 when something differs from the pins.")
    ] = False,
) -> None:
    """Pin environments, base images, datasets and tools of a stack in a file to commit.

    The file is STACK.lock.json beside the stack's configuration. Environments that it pins are not resolved again.
    """
    from trainstack.core.environments import pins
    from trainstack.core.preview import document, pinning
    from trainstack.core.workspace.project import pin_file, project_root

    root = project_root()
    preview_document = document.read_preview(preview_text(preview, stack, "--show-sames"))
    name = stack or preview_document.stack
    if not name:
        raise TrainstackError("the preview names no stack: give --stack")
    file = pin_file(root, name)
    before = pins.read_pins(file) if check else None
    result = pinning.find_pins(preview_document, root)
    for line in result.unknown:
        output.note(line)
    if before is None:
        if result.unknown:
            raise TrainstackError(f"{file} is not written: not everything is known yet")
        pins.write_pins(file, result.pins)
        environments, datasets = len(result.pins.environments), len(result.pins.datasets)
        pinned = f"{counted(environments, 'environment')} and {counted(datasets, 'dataset')}"
        output.say(f"{file}: {pinned} pinned")
        return
    if result.unknown:
        datasets = {name: digest for name, digest in before.datasets.items() if name in result.pins.datasets}
        before = before.model_copy(update={"datasets": datasets})
    lines = pins.differences(before, result.pins)
    for line in lines:
        output.say(line)
    if lines:
        raise TrainstackError(f"{len(lines)} not as {file} pins: undo the change, or run `trainstack lock` and commit")
    output.say(f"all as {file} pins")
