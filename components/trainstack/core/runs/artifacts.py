"""The files that a run leaves: list them, copy them out, put back those that are gone."""

from __future__ import annotations

import shutil
from pathlib import Path

from trainstack.core.runs.directory import RunDirectory, RunRecord
from trainstack.errors import NotFoundError
from trainstack.storage.atomic import disk_errors
from trainstack.storage.blobs import BlobStore

# What a run leaves for people; the rest of its directory is machinery.
OFFERED = ("outputs", "logs")


def listing(directory: Path, prefix: str = "") -> list[str]:
    """Paths of a run's files, relative to its directory, that start with `prefix`; sorted."""
    paths = (
        path.relative_to(directory).as_posix()
        for folder in OFFERED
        for path in (directory / folder).rglob("*")
        if path.is_file()
    )
    return sorted(name for name in paths if name.startswith(prefix))


def download(directory: Path, prefix: str, to: Path) -> list[str]:
    """Copy a run's files whose path starts with `prefix` into `to`, folders kept.

    Returns:
        The paths of the copies.

    Raises:
        NotFoundError: No file starts so.
    """
    names = listing(directory, prefix)
    if not names:
        examples = ", ".join(listing(directory)[:5]) or "no file"
        raise NotFoundError(f"no file of run {directory.name} starts with {prefix!r}: it holds {examples}")
    copies: list[str] = []
    for name in names:
        copy = to / name
        with disk_errors(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / name, copy)
        copies.append(str(copy))
    return copies


def restore(run: RunDirectory, record: RunRecord, blobs: BlobStore) -> list[str]:
    """Put back outputs that are gone, from the workspace's content (a registered model's files are there).

    Returns:
        Paths that are gone for good.
    """
    lost: list[str] = []
    for name, digest in record.outputs.items():
        path = run.outputs / name
        if path.is_file():
            continue
        if not blobs.has(digest):
            lost.append(f"outputs/{name}")
            continue
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(blobs.path(digest), path)
    return lost
