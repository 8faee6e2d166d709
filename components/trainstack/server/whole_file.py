"""Files that are whole or not there: written aside, then renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file; who reads it meanwhile reads the old one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS))
    aside.replace(path)
