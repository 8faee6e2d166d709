"""Where a project is, and how its paths are written down so that a checkout can move."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path

FOLDER = ".trainstack"
"""Where a project keeps its workspaces and the file that names the one in use."""


def project_root(start: Path | None = None) -> Path:
    """The folder of the nearest `Pulumi.yaml` at or above `start`; `start` itself where there is none.

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
    """Pulumi's command line: on PATH, else in the environment that this process is from; none where it is nowhere."""
    return shutil.which("pulumi") or shutil.which("pulumi", path=str(Path(sys.executable).parent))


def portable(path: Path, root: Path) -> str:
    """`path` relative to `root` where it lies inside, else absolute."""
    absolute = Path(os.path.abspath(root / path.expanduser()))  # noqa: PTH100 (links are kept as they are)
    try:
        return absolute.relative_to(root).as_posix()
    except ValueError:
        return str(absolute)
