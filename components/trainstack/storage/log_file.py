"""Open a log to append to."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

from trainstack.errors import TrainstackError
from trainstack.storage.atomic import disk_errors


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to, made when missing with its folder.

    Args:
        path: The file. A link is not followed: whoever may write to the folder would choose what is written to.

    Raises:
        TrainstackError: It is a link, or cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666), "ab")
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise TrainstackError(f"{path} is a link, which a log may not be: remove it") from exc
            raise
