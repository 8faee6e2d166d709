"""The template of a project: its files, filled in as `pulumi new` does, requiring the Trainstack that runs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).parents[1] / "templates" / "tensorflow"
# Below the project's folder, wherever Pulumi is called from; made with the first stack.
_BACKEND = b"backend:\n  url: file://./.pulumi-state?create_dir=true\n"
_VIRTUAL_ENVIRONMENT = b"  name: python\n  options:\n    toolchain: pip\n    virtualenv: venv\n"


def template_files() -> dict[str, bytes]:
    """Return the files of the template for `pulumi new`, by path; its requirements name what is installed here."""
    files: dict[str, bytes] = {}
    for path in sorted(TEMPLATE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[path.relative_to(TEMPLATE).as_posix()] = path.read_bytes()
    files["requirements.txt"] = f"{requirement()}\n".encode()
    return files


def project_files(project: str, description: str, *, own_environment: bool) -> dict[str, bytes]:
    """Return the files of a project, by path.

    Args:
        project: The project's name.
        description: What it is, in one line.
        own_environment: Whether Pulumi runs the program in a virtual environment of the project's own.
    """
    values = {b"${PROJECT}": project, b"${DESCRIPTION}": " ".join(description.split())}
    files = template_files()
    for path, content in files.items():
        for placeholder, value in values.items():
            content = content.replace(placeholder, value.encode())
        files[path] = content
    # What only `pulumi new` needs goes: it has a backend already, and asks for settings.
    settings = files["Pulumi.yaml"].partition(b"template:\n")[0]
    if not own_environment:
        settings = settings.replace(b"runtime:\n" + _VIRTUAL_ENVIRONMENT, b"runtime: python\n")
    files["Pulumi.yaml"] = settings + _BACKEND
    return files


def requirement(extra: str = "policy") -> str:
    """Return what pip installs to have the Trainstack that runs: a file, a commit, a folder or a version.

    Args:
        extra: The extra to install with it.
    """
    try:
        installed = metadata.distribution("trainstack")
    except metadata.PackageNotFoundError:
        return f"trainstack[{extra}]"
    origin: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin:
        return f"trainstack[{extra}]=={installed.version}"
    address = str(origin["url"])
    if commit := origin.get("vcs_info"):
        address = f"{commit['vcs']}+{address}@{commit['commit_id']}"
    folder = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
    return f"trainstack[{extra}] @ {address}{folder}"


def is_first_on_path() -> bool:
    """Whether the Python that Pulumi will find on PATH is the one of this process, which has the package."""
    # `uvx` and `uv run` put it first for this process alone, and set this variable.
    if "UV" in os.environ:
        return False
    python = shutil.which("python3") or shutil.which("python")
    return python is not None and Path(python).parent.resolve() == Path(sys.executable).parent.resolve()
