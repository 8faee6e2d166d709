"""Version numbers that are never given twice, also when a version was purged."""

from __future__ import annotations

import contextlib
from pathlib import Path

from trainstack.storage.atomic import read_json, write_json

_FILE = "purged.json"


def last_purged(folder: Path) -> int:
    """The highest version that was purged below a folder of versions; 0 for none."""
    with contextlib.suppress(FileNotFoundError):
        return int(read_json(folder / _FILE)["last_version"])
    return 0


def note_purged(folder: Path, version: int) -> None:
    """Remember that a version was given, before it goes."""
    if version > last_purged(folder):
        write_json(folder / _FILE, {"last_version": version})
