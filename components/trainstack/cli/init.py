"""`trainstack init`: create a project that runs, from the template that `pulumi new` uses, with a stack."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.errors import InvalidInputError

# What Pulumi and a workspace accept as a name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")
_PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
_STACK = "dev"


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The project's folder; created when missing.")],
    name: Annotated[str | None, typer.Option("--name", help="The project's name; by default the folder's.")] = None,
    description: Annotated[str, typer.Option("--description", help="Its description.")] = "TensorFlow training",
    template: Annotated[
        bool, typer.Option("--template", help="Write the template instead, for `pulumi new FOLDER`.")
    ] = False,
) -> None:
    """Create a project: a program, a training script, some data, a policy pack, and a stack with its state in FOLDER.

    It is an error if one of the files exists already; then nothing is written. Where PULUMI_BACKEND_URL names a
    backend, the stack is left to you.
    """
    from trainstack.cli import project_template

    project = name or folder.absolute().name
    if not _NAME.fullmatch(project):
        raise InvalidInputError(
            f"project name {project!r} is not usable: take up to 50 letters, digits, '.', '_' or '-', give --name"
        )
    if template:
        files = project_template.template_files()
        _write(folder, files)
        output.say(f"{len(files)} files in {folder}; now, in an empty folder: pulumi new {folder.absolute()}")
        return
    ambient = project_template.is_first_on_path()
    files = project_template.project_files(project, description, own_environment=not ambient)
    _write(folder, files)
    steps = [f"cd {folder}", *([] if ambient else ["pulumi install"])]
    if not any(variable in os.environ for variable in _PASSPHRASE):
        steps.append("export PULUMI_CONFIG_PASSPHRASE=")
    stack = _create_stack(folder)
    if not stack:
        steps.append(f"pulumi stack init {_STACK}")
    made = f"{len(files)} files in {folder}" + (f", and stack {_STACK}" if stack else "")
    output.say(f"{made}; now: {' && '.join([*steps, 'pulumi up'])}")


def _write(folder: Path, files: dict[str, bytes]) -> None:
    from trainstack.storage.atomic import write_bytes

    if existing := sorted(path for path in files if (folder / path).exists()):
        raise InvalidInputError(f"{folder / existing[0]} already exists: choose an empty folder")
    for path, content in files.items():
        write_bytes(folder / path, content)


def _create_stack(folder: Path) -> bool:
    """Create the first stack, with its state in the project's folder; return whether it is there."""
    from trainstack.core.workspace.project import pulumi_program

    program = pulumi_program()
    if program is None:
        output.note("pulumi is not on PATH: install it first, https://www.pulumi.com/docs/install/")
        return False
    if "PULUMI_BACKEND_URL" in os.environ:
        return False
    # The template has no secrets, so the empty passphrase protects as well as any; docs say how to choose another.
    passphrase = {} if any(variable in os.environ for variable in _PASSPHRASE) else {_PASSPHRASE[0]: ""}
    done = subprocess.run(
        [program, "stack", "init", _STACK, "--non-interactive"],
        cwd=folder, env=os.environ | passphrase, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        output.note(f"no stack was created: {' '.join((done.stderr or done.stdout).split())}")
    return done.returncode == 0
