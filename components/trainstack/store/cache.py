"""Where this machine keeps what can be made again: built environments, wheels, remembered digests."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The machine-wide cache: `TRAINSTACK_CACHE`, else the user's cache folder. Safe to delete when nothing runs."""
    override = os.environ.get("TRAINSTACK_CACHE")
    if override:
        return Path(override).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("trainstack"))
