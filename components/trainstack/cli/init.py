"""`trainstack init`: a project that runs as it is, from the same template that `pulumi new` takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from trainstack.cli import output
from trainstack.errors import InvalidInputError

TEMPLATES = Path(__file__).parents[1] / "templates"
# What Pulumi takes for a project's name, and a workspace for its own.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The project's folder; made when missing.")],
    name: Annotated[str | None, typer.Option("--name", help="The project's name; the folder's when left out.")] = None,
    description: Annotated[str, typer.Option("--description", help="What it is.")] = "TensorFlow training",
) -> None:
    """Make a project: a program, a training script, some data, a policy pack.

    Files that are there already are an error, and nothing is written.
    """
    from trainstack.storage.atomic import write_bytes

    project = name or folder.absolute().name
    if not _NAME.fullmatch(project):
        raise InvalidInputError(
            f"project name {project!r} is not usable: take up to 50 letters, digits, '.', '_' or '-', give --name"
        )
    files = rendered(TEMPLATES / "tensorflow", project, description)
    if there := sorted(path for path in files if (folder / path).exists()):
        raise InvalidInputError(f"{folder / there[0]} is there already: choose an empty folder")
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
    named = {b"${PROJECT}": project, b"${DESCRIPTION}": " ".join(description.split())}
    files: dict[str, bytes] = {}
    for path in sorted(template.rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        content = path.read_bytes()
        for placeholder, value in named.items():
            content = content.replace(placeholder, value.encode())
        if path.name == "Pulumi.yaml":
            # What only `pulumi new` needs.
            content = content.partition(b"template:\n")[0]
        files[path.relative_to(template).as_posix()] = content
    return files
