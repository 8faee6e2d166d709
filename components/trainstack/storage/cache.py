"""The folder of what all workspaces of this machine share: environment locks, built environments, built wheels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from trainstack.errors import InvalidInputError


def cache_folder() -> Path:
    """Return the machine-wide cache folder; it may not exist yet and may be deleted at any time.

    Returns:
        `TRAINSTACK_CACHE` where that is set, else the platform's cache folder of this user.

    Raises:
        InvalidInputError: `TRAINSTACK_CACHE` is a relative path, which would mean another folder in each process.
    """
    variable = os.environ.get("TRAINSTACK_CACHE")
    if variable:
        path = Path(variable).expanduser()
        if not path.is_absolute():
            raise InvalidInputError(f"TRAINSTACK_CACHE={variable} is a relative path: give an absolute one")
        return path
    if sys.platform == "linux":
        # As platformdirs has it, which takes a while to load: https://specifications.freedesktop.org/basedir
        return Path(os.environ.get("XDG_CACHE_HOME", "").strip() or Path("~/.cache").expanduser()) / "trainstack"
    import platformdirs

    return Path(platformdirs.user_cache_dir("trainstack", appauthor=False))
