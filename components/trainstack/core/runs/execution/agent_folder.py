"""The folder that nodes get from us: the launch agent, and what the MLflow client of a script finds on its path."""

from __future__ import annotations

import compileall
import shutil
from pathlib import Path

import trainstack.agent
from trainstack.agent.ranks.rank_environment import CLIENT_FOLDER

_PACKAGE = Path(str(trainstack.agent.__file__)).parent
_STORE = "trainstack_quick_file_store"
_METADATA = f"Metadata-Version: 2.1\nName: {_STORE}\nVersion: 1\n"
_ENTRY_POINTS = f"[mlflow.tracking_store]\nfile = {_STORE}:quick_file_store\n"


def lay_out(folder: Path) -> None:
    """Fill the folder.

    Args:
        folder: Where; it must not be there yet.
    """
    # Compiled once, as its first import would do: a node whose Python is ours starts in half the time.
    compileall.compile_dir(_PACKAGE, quiet=2)
    agent = folder / "trainstack"
    shutil.copytree(_PACKAGE, agent / "agent")
    (agent / "__init__.py").touch()
    client = folder / CLIENT_FOLDER
    metadata = client / f"{_STORE}-1.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy2(_PACKAGE / "reporting" / "quick_file_store.py", client / f"{_STORE}.py")
    (metadata / "METADATA").write_text(_METADATA, encoding="utf-8")
    (metadata / "entry_points.txt").write_text(_ENTRY_POINTS, encoding="utf-8")
