"""Paths as addresses. Every path that becomes a URI is quoted here: `#`, `?` and `%` mean something else there."""

from __future__ import annotations

import os
from pathlib import PurePath
from urllib.parse import quote_from_bytes


def file_address(folder: PurePath, *names: str) -> str:
    """Return a `file:` URI, in which each reader finds the very bytes of the path.

    Args:
        folder: An absolute path.
        names: What is below it, as it is to stand in the URI: a placeholder stays one.
    """
    return "/".join([f"file://{quote_from_bytes(os.fsencode(folder))}", *names])
