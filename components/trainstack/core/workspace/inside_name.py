"""Names of files in records, which become paths below a folder: none leads out of it.

A workspace in an object store, or one that was pulled from there, holds records that somebody else may have written.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

_PART = r"(?:[^/.\x00][^/\x00]*|\.[^/.\x00][^/\x00]*|\.\.[^/\x00]+)"
_INSIDE = rf"{_PART}(?:/{_PART})*"
_NAME = re.compile(_INSIDE)

InsideName = Annotated[str, StringConstraints(pattern=f"^{_INSIDE}$")]
"""A relative path of a record's model; one that leads out makes the record a damaged one."""


def leads_out(name: str) -> bool:
    """Return whether a name, as a path below a folder, would be elsewhere, or be no path."""
    return _NAME.fullmatch(name) is None
