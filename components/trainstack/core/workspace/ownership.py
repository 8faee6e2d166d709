"""Whose a workspace and the file that names it may be: what another user of the machine has put there is not trusted.

As git since CVE-2022-24765: a file in a parent folder, such as `/tmp/.trainstack/config.json`, is found by everybody
who works below. Its author would choose the workspace, and with it the address of the history and what commands write
to.
"""

from __future__ import annotations

import os
from pathlib import Path

from trainstack.errors import TrainstackError

VARIABLE = "TRAINSTACK_SAFE_FOLDERS"
"""Folders of other users that are trusted all the same, with `:` between them; `*` for any."""
_ROOT = 0


def check_owner(path: Path, folder: Path) -> None:
    """Refuse what belongs to another user.

    Args:
        path: The file or folder that is about to be used.
        folder: The folder that stands for it in `TRAINSTACK_SAFE_FOLDERS`.

    Raises:
        TrainstackError: It is another user's, and its folder is not said to be safe.
        FileNotFoundError: It is not there.
    """
    owner = path.stat().st_uid
    if owner in _trusted_users() or _is_safe(folder):
        return
    raise TrainstackError(
        f"{path} belongs to {_name(owner)}, who could run commands as you through it: if you trust them, set "
        f"{VARIABLE}={folder}"
    )


def _trusted_users() -> set[int]:
    """This user and root; under sudo also who called it."""
    trusted = {os.geteuid(), _ROOT}
    if os.geteuid() == _ROOT and os.environ.get("SUDO_UID", "").isdecimal():
        trusted.add(int(os.environ["SUDO_UID"]))
    return trusted


def _is_safe(folder: Path) -> bool:
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    return "*" in named or any(Path(name).absolute() == folder.absolute() for name in named if name)


def _name(user: int) -> str:
    import pwd  # only for the error

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
