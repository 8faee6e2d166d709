"""Where a project is, and how its paths are stored so that a checkout can move."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
from pathlib import Path

_CONFIG_FOLDER = re.compile(r"^stackConfigDir:\s*[\"']?([^\"'#\s]+)", re.MULTILINE)
FOLDER = ".trainstack"
"""Where a project keeps its workspaces and the file that names the one in use."""


def project_root(start: Path | None = None) -> Path:
    """Return the folder of the nearest `Pulumi.yaml` at or above `start`; `start` itself where there is none.

    Args:
        start: Where to look from; the working directory when left out.
    """
    return _above((start or Path.cwd()).absolute())


@functools.cache
def _above(here: Path) -> Path:
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file() or (folder / "Pulumi.yml").is_file():
            return folder
    return here


def pulumi_program() -> str | None:
    """Return Pulumi's program: on PATH, else in this process's environment; None where there is none."""
    return shutil.which("pulumi") or shutil.which("pulumi", path=str(Path(sys.executable).parent))


def portable(path: Path, root: Path) -> str:
    """Return `path` relative to `root` where it lies inside, else absolute."""
    absolute = Path(os.path.abspath(root / path.expanduser()))  # noqa: PTH100 (links are kept as they are)
    try:
        return absolute.relative_to(root).as_posix()
    except ValueError:
        return str(absolute)


def pin_file(root: Path, stack: str) -> Path:
    """Return the file of a stack's pins, beside its configuration.

    Args:
        root: The project's folder.
        stack: The stack's name, with or without organisation and project.
    """
    project = next((path for path in (root / "Pulumi.yaml", root / "Pulumi.yml") if path.is_file()), None)
    match = _CONFIG_FOLDER.search(project.read_text("utf-8")) if project else None
    return root / (match[1] if match else ".") / f"{stack.rsplit('/', 1)[-1]}.lock.json"
