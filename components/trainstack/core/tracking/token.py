"""The token that the embedded server of a workspace asks for."""

from __future__ import annotations

import contextlib
import secrets
import stat

from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.storage.atomic import write_bytes

_FILE = "token"


def read_token(workspace: Workspace) -> str:
    """Return the token; the first call makes it, and it stays.

    It is readable by its owner alone, in a workspace that a group writes also by the group.

    Raises:
        TrainstackError: The file belongs to another user, or cannot be written.
    """
    path = workspace.history / _FILE
    with contextlib.suppress(FileNotFoundError):
        return _read(workspace)
    with locks.exclusive(workspace.history / "settings.lock"):
        with contextlib.suppress(FileNotFoundError):
            return _read(workspace)
        shared = workspace.history.stat().st_mode & stat.S_IWGRP
        write_bytes(path, secrets.token_urlsafe(32).encode(), mode=0o640 if shared else 0o600)
        return _read(workspace)


def _read(workspace: Workspace) -> str:
    path = workspace.history / _FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except PermissionError as exc:
        raise TrainstackError(f"{path} is another user's: share the workspace by its group's rights") from exc
