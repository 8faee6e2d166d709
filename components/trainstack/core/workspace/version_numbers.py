"""Version numbers, which are never assigned twice, also when a version was purged."""

from __future__ import annotations

import contextlib
from pathlib import Path

from trainstack.storage.atomic import read_json, write_json

_FILE = "purged.json"


def last_purged(folder: Path) -> int:
    """Return the highest version that was purged below a folder of versions; 0 for none."""
    with contextlib.suppress(FileNotFoundError):
        return int(read_json(folder / _FILE)["last_version"])
    return 0


def note_purged(folder: Path, version: int) -> None:
    """Record that a version number was assigned, before the version is purged."""
    if version > last_purged(folder):
        write_json(folder / _FILE, {"last_version": version})
