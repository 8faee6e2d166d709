"""Write a file completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

from trainstack.errors import TrainstackError


@contextlib.contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Turn errors of the file system into one clear line.

    Args:
        path: What was being written.

    Raises:
        TrainstackError: The disk is full, a quota is spent, or the folder is not writable.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainstackError(f"{full_disk(path)}; free some space and run again") from exc
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise TrainstackError(f"cannot write {path}: {exc.strerror}; check the folder's owner and mode") from exc
        raise


def full_disk(path: Path) -> str:
    """Say that a path could not be written for want of disk: which path, on which disk, how much that has left."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    mount = next(folder for folder in (existing, *existing.parents) if folder.is_mount())
    disk = shutil.disk_usage(existing)
    return f"disk full while writing {path}: {mount} has {disk.free:,} of {disk.total:,} bytes free"


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`: written under another name, fsynced, renamed, so that a reader sees the old or the new.

    Args:
        path: The file to replace; its folder is made when missing.
        data: The whole content.
        mode: Permission bits of the new file.

    Raises:
        TrainstackError: The disk is full or the folder not writable.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def write_bytes_once(path: Path, data: bytes) -> None:
    """Write a file completely unless it exists; of several writers at the same time one wins.

    Raises:
        TrainstackError: The disk is full or the folder not writable.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_bytes(unfinished, data)
        with disk_errors(path), contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Replace `path` by `value` as indented JSON, as `write_bytes` does."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode(), mode=mode)


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        TrainstackError: The file is not valid JSON, or nested too deeply to be ours.
        FileNotFoundError: The file does not exist.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise TrainstackError(f"{path} is damaged ({exc}); move it away and run again") from exc
