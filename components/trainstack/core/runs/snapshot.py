"""The code of a run: which files of a source folder belong to it, and their digests."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from trainstack.core.runs.ignore_rules import IgnoreRules
from trainstack.core.workspace.folder_size import check_size
from trainstack.errors import DigestMismatchError, InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage import disk_space
from trainstack.storage.blobs import BlobStore
from trainstack.storage.digest import DigestCache
from trainstack.storage.file_names import is_utf8, printable

DEFAULT_LIMIT_BYTES = 300 * 1024 * 1024


@dataclass(frozen=True)
class Snapshot:
    """What a source folder held at one moment.

    Attributes:
        files: Relative POSIX path to hex SHA-256, sorted by path.
        size: Bytes in all.
        executables: Paths of the files that their owner may execute, sorted: what git keeps of a mode.
        unread: Ignore files of other tools that the folder has, where it has none that is read.
        secrets: What was left out because its name is that of a secret.
    """

    files: dict[str, str]
    size: int
    executables: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    def __str__(self) -> str:
        noun = "file" if len(self.files) == 1 else "files"
        return f"{len(self.files)} {noun}, {self.size:,} bytes"


def take(source: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> Snapshot:
    """Digest the files of a source folder, less what its ignore file names.

    In each folder `.trainstackignore` is read, and where there is none `.gitignore`; both in git's syntax. A link to a
    folder inside stands for the files in it. Keys and passwords, by their names, are left out unless a rule names them.

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
    rules = IgnoreRules(source)
    names, size, executables = _listing(source, rules)
    remedy = "list data in .trainstackignore or raise source_limit_bytes"
    check_size("source_directory", source, names, size, limit_bytes, remedy)
    cache = DigestCache.of_folder("code", source)
    return Snapshot(cache.digests(source, names), size, executables, rules.unread, tuple(sorted(rules.secrets)))


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


def lend(files: dict[str, str], blobs: BlobStore, folder: Path, executables: Collection[str] = ()) -> None:
    """Lay a stored snapshot out as read-only files in `folder`, of which a run's script has charge.

    Raises:
        NotFoundError: The store no longer holds one of them.
    """
    blobs.obtain(files.values())
    copy = blobs.small(files.values())
    for name, digest in files.items():
        try:
            blobs.lend(digest, folder / name, copy=copy, executable=name in executables)
        except NotFoundError as exc:
            raise NotFoundError(f"the stored copy of {name} is gone: run `pulumi up` from its source again") from exc


def _listing(source: Path, rules: IgnoreRules) -> tuple[list[str], int, tuple[str, ...]]:
    """The files that count: sorted relative paths, the sum of sizes, and programs."""
    root = Path(os.path.realpath(source))
    names: list[str] = []
    executables: list[str] = []
    size = 0
    # A folder by its path in the source, and the real folders that lead there: a link back to one of them is a loop.
    pending: list[tuple[str, tuple[Path, ...]]] = [("", (root,))]
    while pending:
        folder, above = pending.pop()
        rules.enter(folder)
        with os.scandir(source / folder) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                is_link, real = entry.is_symlink(), Path(os.path.realpath(entry.path))
                is_folder = real.is_dir() if is_link else entry.is_dir()
                if rules.ignores(f"{name}/" if is_folder else name):
                    continue
                _check_entry(name, source, is_link=is_link, real=real, root=root, above=above)
                if is_folder:
                    pending.append((f"{name}/", (*above, real)))
                elif real.is_file():
                    status = real.stat()
                    names.append(name)
                    size += status.st_size
                    if status.st_mode & stat.S_IXUSR:
                        executables.append(name)
    if not names:
        raise InvalidInputError(
            f"source_directory {str(source)!r} holds no file that is not ignored", field="source_directory"
        )
    return sorted(names), size, tuple(sorted(executables))


def _check_entry(name: str, source: Path, *, is_link: bool, real: Path, root: Path, above: tuple[Path, ...]) -> None:
    """Refuse what no other machine could have under this name."""
    reason = ""
    if not is_utf8(name):
        name, reason = printable(name), "has a name that is not UTF-8: rename it or ignore it"
    elif is_link and not real.is_relative_to(root):
        reason = "is a link that leaves the folder: copy it in or ignore it"
    elif is_link and (real in above or not real.exists()):
        reason = "is a link that leads nowhere or back to itself: mend it or ignore it"
    if reason:
        raise InvalidInputError(f"{name} in {str(source)!r} {reason}", field="source_directory")
