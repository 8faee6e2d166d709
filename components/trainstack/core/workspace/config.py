"""`config.json`: where a workspace is, for programs, notebooks and the command line."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from trainstack.core.workspace.ownership import check_owner
from trainstack.core.workspace.project import FOLDER
from trainstack.core.workspace.store_cache import stored_path
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.storage.atomic import read_json, write_json

FILE = "config.json"


class WorkspaceConfig(BaseModel):
    """The file's content.

    Attributes:
        name: The workspace's name.
        root: Its folder; relative to the folder that holds `.trainstack` or, without one, the file itself.
    """

    model_config = ConfigDict(extra="ignore", populate_by_name=True, defer_build=True)

    name: str
    root: str


def find(start: Path) -> tuple[Path, WorkspaceConfig]:
    """Look for `config.json` in `start`, in its `.trainstack` folder, and then in each parent alike.

    Args:
        start: The folder to start from.

    Returns:
        The workspace's folder and the file's content.

    Raises:
        NotFoundError: There is none.
        InvalidInputError: The one that is found does not name a workspace.
        TrainstackError: It belongs to another user.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        for path in (folder / FILE, folder / FOLDER / FILE):
            if path.is_file():
                for owned in (path.parent, path):
                    check_owner(owned, folder)
                try:
                    config = WorkspaceConfig.model_validate(read_json(path))
                except ValidationError as exc:
                    raise InvalidInputError(f'{path} must hold {{"name": …, "root": …}}: add what is missing') from exc
                return folder / Path(config.root).expanduser(), config
    raise NotFoundError(
        f"no workspace in {start} or a parent: change to the project's folder, run `pulumi up` there first, or name "
        f"the workspace's folder (no {FOLDER}/{FILE} is here)"
    )


def write(folder: Path, workspace: Workspace) -> Path:
    """Write `.trainstack/config.json` into `folder`, for `find`.

    Returns:
        The file.
    """
    path = folder / FOLDER / FILE
    write_json(path, WorkspaceConfig(name=workspace.name, root=stored_path(workspace.root, folder)).model_dump())
    return path
