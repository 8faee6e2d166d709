"""Whether a path stays where it belongs."""

from __future__ import annotations

import os


def is_below(root: str, path: str) -> bool:
    """Whether an absolute path is a folder or below it; of real paths, no link in between can lead out.

    Compares text, as 10,000 files need it; who distrusts links gives `os.path.realpath` of both.
    """
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
