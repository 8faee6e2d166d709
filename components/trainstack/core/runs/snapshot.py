"""The code of a run: which files of a source folder belong to it, and their digests."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from trainstack.core.workspace.folder_size import check_size
from trainstack.errors import DigestMismatchError, InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage import disk_space
from trainstack.storage.blobs import BlobStore
from trainstack.storage.digest import DigestCache
from trainstack.storage.paths import is_below

_IGNORE_FILES = (".trainstackignore", ".gitignore")
# Never part of a run's code: version control, caches, and the folders that a run itself writes.
ALWAYS_IGNORED = (
    ".git/",
    ".hg/",
    ".svn/",
    "__pycache__/",
    "*.pyc",
    ".DS_Store",
    ".venv/",
    ".trainstack/",
    ".pulumi-state/",
    ".ipynb_checkpoints/",
    "/outputs",
    "/logs",
)
DEFAULT_LIMIT_BYTES = 300 * 1024 * 1024


@dataclass(frozen=True)
class Snapshot:
    """What a source folder held at one moment.

    Attributes:
        files: Relative POSIX path to hex SHA-256, sorted by path.
        size: Bytes in all.
    """

    files: dict[str, str]
    size: int

    def __str__(self) -> str:
        noun = "file" if len(self.files) == 1 else "files"
        return f"{len(self.files)} {noun}, {self.size:,} bytes"


def take(source: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> Snapshot:
    """Digest the files of a source folder, less what its ignore file names.

    `.trainstackignore` is read, and where there is none `.gitignore`; both in git's syntax.

    Args:
        source: The folder.
        limit_bytes: The largest sum of file sizes to accept.

    Raises:
        InvalidInputError: The folder is missing, holds no file, has a link that leaves it, or is too large.
    """
    if not source.is_dir():
        raise InvalidInputError(
            f"source_directory {str(source)!r} is not a folder: name the folder that holds the script",
            field="source_directory",
        )
    names, size = _listing(source)
    remedy = "list data in .trainstackignore or raise source_limit_bytes"
    check_size("source_directory", source, names, size, limit_bytes, remedy)
    cache = DigestCache.of_folder("code", source)
    return Snapshot(cache.digests(source, names), size)


def store(source: Path, files: dict[str, str], blobs: BlobStore) -> None:
    """Copy a snapshot's files into the blob store, so that the run no longer depends on the source folder.

    Raises:
        TrainstackError: A file is no longer what the snapshot says, or the disk is full.
    """
    missing = {digest: name for name, digest in files.items() if not blobs.has(digest)}
    if missing:
        blobs.require(disk_space.size_of(source / name for name in missing.values()), f"the code in {source}")
    for digest, name in missing.items():
        try:
            blobs.add(source / name, expected=digest)
        except (FileNotFoundError, DigestMismatchError) as exc:
            raise TrainstackError(f"{name} changed while it was being submitted: run `pulumi up` again") from exc


def link(files: dict[str, str], blobs: BlobStore, folder: Path) -> None:
    """Lay a stored snapshot out as read-only files in `folder`.

    Raises:
        NotFoundError: The store no longer holds one of them.
    """
    for name, digest in files.items():
        try:
            blobs.link(digest, folder / name)
        except NotFoundError as exc:
            raise NotFoundError(f"the stored copy of {name} is gone: run `pulumi up` from its source again") from exc


def _listing(source: Path) -> tuple[list[str], int]:
    """Sorted relative paths of the files that count, and the sum of their sizes."""
    ignored = _ignore_rules(source)
    root = os.path.realpath(source)
    names: list[str] = []
    size = 0
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(source / folder) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                if entry.is_symlink() and not is_below(root, os.path.realpath(entry.path)):
                    if ignored(name):
                        continue
                    raise InvalidInputError(
                        f"{name} in {str(source)!r} is a link that leaves the folder: copy it in or ignore it",
                        field="source_directory",
                    )
                if entry.is_dir(follow_symlinks=False):
                    if not ignored(f"{name}/"):
                        pending.append(f"{name}/")
                elif entry.is_file() and not ignored(name):
                    names.append(name)
                    size += entry.stat().st_size
    if not names:
        raise InvalidInputError(
            f"source_directory {str(source)!r} holds no file that is not ignored", field="source_directory"
        )
    return sorted(names), size


def _ignore_rules(source: Path) -> Callable[[str], bool]:
    """What says of a path in `source`, a folder's with a slash at its end, whether it is no code."""
    rules = next((source / name for name in _IGNORE_FILES if (source / name).is_file()), None)
    if rules is None:
        return always_ignored
    from pathspec import GitIgnoreSpec

    lines = rules.read_text(encoding="utf-8", errors="replace").splitlines()
    spec = GitIgnoreSpec.from_lines([*ALWAYS_IGNORED, *lines])
    # The ignore file says what is code; it is not code itself, so a comment in it retrains nothing.
    return lambda name: name in _IGNORE_FILES or bool(spec.match_file(name))


def always_ignored(name: str) -> bool:
    """What git would say of a path, by `ALWAYS_IGNORED` alone; the folders above it are not.

    Most folders have no ignore file, and what reads one takes a hundredth of a preview to load.

    Args:
        name: The path, relative to the source folder; a folder's ends with a slash.
    """
    path = name.rstrip("/")
    last = path.rpartition("/")[2]

    def fits(rule: str) -> bool:
        if rule.startswith("/"):
            return path == rule[1:]
        if rule.endswith("/"):
            return name.endswith("/") and last == rule[:-1]
        return fnmatchcase(last, rule)

    return any(map(fits, ALWAYS_IGNORED))
