"""Files written whole, stamps that say a step is done, and locks between set-ups."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file: written aside and renamed, so that a kill leaves the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_text(text)
    aside.chmod(mode)
    aside.replace(path)


def digest(*parts: str | bytes) -> str:
    """One SHA-256 over all parts; where one ends and the next begins counts."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()


def read_stamp(path: Path) -> dict[str, Any]:
    """What a finished step left, or nothing: a missing or damaged stamp means the step is done again."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_stamp(path: Path, value: dict[str, Any]) -> None:
    """Say that a step is done; call it last."""
    write(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time do what the block does; the kernel frees the lock of a killed one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another set-up to end ({path})", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
