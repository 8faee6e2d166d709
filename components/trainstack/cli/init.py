"""`trainstack init`: create a project that runs, from the template that `pulumi new` uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.errors import InvalidInputError

TEMPLATES = Path(__file__).parents[1] / "templates"
# What Pulumi and a workspace accept as a name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The project's folder; created when missing.")],
    name: Annotated[str | None, typer.Option("--name", help="The project's name; by default the folder's.")] = None,
    description: Annotated[str, typer.Option("--description", help="Its description.")] = "TensorFlow training",
) -> None:
    """Create a project: a program, a training script, some data, a policy pack.

    It is an error if one of the files exists already; then nothing is written.
    """
    from trainstack.storage.atomic import write_bytes

    project = name or folder.absolute().name
    if not _NAME.fullmatch(project):
        raise InvalidInputError(
            f"project name {project!r} is not usable: take up to 50 letters, digits, '.', '_' or '-', give --name"
        )
    files = rendered(TEMPLATES / "tensorflow", project, description)
    if existing := sorted(path for path in files if (folder / path).exists()):
        raise InvalidInputError(f"{folder / existing[0]} already exists: choose an empty folder")
    for path, content in files.items():
        write_bytes(folder / path, content)
    output.say(
        f"{len(files)} files in {folder}; now: cd {folder} && pulumi stack init dev && pulumi up "
        "(`pulumi login --local` before the first stack keeps states on this machine)"
    )


def rendered(template: Path, project: str, description: str) -> dict[str, bytes]:
    """A template's files with its two names filled in, as `pulumi new` does, by path.

    Args:
        template: The template's folder.
        project: The project's name.
        description: What it is, in one line.
    """
    values = {b"${PROJECT}": project, b"${DESCRIPTION}": " ".join(description.split())}
    files: dict[str, bytes] = {}
    for path in sorted(template.rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        content = path.read_bytes()
        for placeholder, value in values.items():
            content = content.replace(placeholder, value.encode())
        if path.name == "Pulumi.yaml":
            # What only `pulumi new` needs.
            content = content.partition(b"template:\n")[0]
        files[path.relative_to(template).as_posix()] = content
    return files
