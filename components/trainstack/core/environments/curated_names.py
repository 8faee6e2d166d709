"""The names of the curated environments that are shipped with this package."""

from __future__ import annotations

from pathlib import Path

CURATED_PREFIX = "trainstack-"
FOLDER = Path(__file__).parent / "curated"
"""Each curated environment is a folder in it."""


def curated_names() -> list[str]:
    """Return the full names of the curated environments, sorted."""
    return sorted(CURATED_PREFIX + path.parent.name for path in FOLDER.glob("*/environment.json"))
