"""The files of our model server, as they go where it runs, and the digest that tells one version of it from another."""

from __future__ import annotations

import functools
from pathlib import Path

import trainstack.server
from trainstack.storage import digest

FOLDER = Path(trainstack.server.__file__).parent
"""Where they are; Python runs the folder as it is."""


def files() -> list[Path]:
    """The server's code and its page, by name."""
    return sorted(path for path in FOLDER.rglob("*") if path.suffix in (".py", ".html"))


@functools.cache
def code_digest() -> str:
    """A short digest of all of them."""
    return digest.of_json({str(path.relative_to(FOLDER)): digest.of_file(path) for path in files()})[:12]
