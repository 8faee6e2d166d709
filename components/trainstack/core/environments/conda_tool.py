"""Install what only conda has, with the micromamba, mamba or conda that is on the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from trainstack.core.environments.conda import specification_text
from trainstack.errors import TrainstackError

_TOOLS = ("micromamba", "mamba", "conda")


def find_tool() -> Path | None:
    """Find micromamba, mamba or conda: on PATH, else where their own variables say."""
    for tool in _TOOLS:
        program = shutil.which(tool)
        if program:
            return Path(program)
    for variable in ("MAMBA_EXE", "CONDA_EXE"):
        variable_value = os.environ.get(variable)
        if variable_value and os.access(variable_value, os.X_OK):
            return Path(variable_value)
    return None


def need_tool(packages: tuple[str, ...]) -> Path:
    """Return micromamba or conda.

    Raises:
        TrainstackError: Neither is here; the message names the packages that need it.
    """
    tool = find_tool()
    if tool is None:
        raise TrainstackError(
            f"conda package {', '.join(packages)} needs micromamba or conda, and neither is on PATH: install "
            "micromamba, or name the Python packages in the specification's pip list"
        )
    return tool


def specification_for_tool(python: str, native: tuple[str, ...], channels: tuple[str, ...]) -> str:
    """Return the YAML that micromamba or conda gets: without the pip list, which uv installs afterwards."""
    return specification_text(
        {"channels": list(channels or ("conda-forge",)), "dependencies": [f"python={python}", *native]}
    )


def create_command(tool: Path, prefix: Path, specification: Path) -> list[str]:
    """Return the command that makes a conda environment at `prefix` of a specification file."""
    if "micromamba" in tool.name:
        return [str(tool), "create", "--yes", "--prefix", str(prefix), "--file", str(specification)]
    return [str(tool), "env", "create", "--prefix", str(prefix), "--file", str(specification)]
