"""Take in what nodes write elsewhere: the other end of `trainstack.agent.transfer.output_sender`.

What arrives was written by somebody's script. It may touch the folders that a run writes and nothing
else of the run directory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, cast

from trainstack.agent.transfer.output_sender import GONE, LAST, OFFSET
from trainstack.storage.atomic import disk_errors
from trainstack.storage.paths import is_below
from trainstack.targets.base import WRITTEN

_CHUNK = 1 << 20


class Source(Protocol):
    """Where bytes come from."""

    def read(self, size: int = -1, /) -> bytes:
        """Wait for some bytes, perhaps fewer than were asked for; none at the end."""
        ...


class OutputReceiver:
    """A run's directory that follows a stream. Whatever cuts the stream off, each file is whole, old or new.

    Attributes:
        refused: Names of what was not taken in: links that lead elsewhere, names that cannot be here.
    """

    def __init__(self, root: Path, applied: Callable[[str], None] = lambda _: None) -> None:
        """Follow into the run directory `root`; `applied` is told the name of each file received."""
        self._root = root
        self._applied = applied
        self.refused: list[str] = []

    def receive(self, source: Source) -> bool:
        """Apply a stream, entry by entry, until it ends.

        Returns:
            Whether it ended with its last mark: nothing is missing.

        Raises:
            TrainstackError: The disk is full, or a folder cannot be written.
        """
        try:
            with tarfile.open(mode="r|", fileobj=cast("IO[bytes]", source), bufsize=_CHUNK) as stream:
                remembered: Any = stream
                for entry in stream:
                    # What a stream brings over days must not all be remembered.
                    remembered.members = []
                    if LAST in entry.pax_headers:
                        return True
                    try:
                        self._apply(entry, stream)
                    except OSError as exc:
                        # A name that this file system cannot have, a file where a folder must be.
                        self.refused.append(f"{entry.name} ({exc.strerror})")
                    else:
                        self._applied(entry.name)
        except (tarfile.ReadError, EOFError):
            pass
        return False

    def _apply(self, entry: tarfile.TarInfo, stream: tarfile.TarFile) -> None:
        top, _, rest = entry.name.partition("/")
        if top not in WRITTEN or not rest:
            return
        folder = self._root / top
        path = folder / rest
        if not _allowed(folder, path, entry):
            self.refused.append(entry.name)
            return
        with disk_errors(path):
            if GONE in entry.pax_headers:
                _remove(path)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            if OFFSET in entry.pax_headers:
                _extend(path, int(entry.pax_headers[OFFSET]), _content(stream, entry))
            elif entry.isdir():
                if not path.is_dir() or path.is_symlink():
                    _remove(path)
                    path.mkdir()
            else:
                _replace(path, entry, _content(stream, entry))


def _allowed(folder: Path, path: Path, entry: tarfile.TarInfo) -> bool:
    """Whether an entry is a file, folder or link that stays below its folder, whatever links are there already."""
    root = os.path.realpath(folder)
    parent = os.path.realpath(path.parent)
    if ".." in path.parts or not is_below(root, parent):
        return False
    if entry.issym():
        # Links in between must not lead elsewhere either.
        target = os.path.join(parent, entry.linkname)  # noqa: PTH118
        return is_below(root, os.path.normpath(target)) and is_below(root, os.path.realpath(target))
    return entry.isreg() or entry.isdir()


def _content(stream: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes] | None:
    return stream.extractfile(entry) if entry.isreg() else None


def _extend(path: Path, offset: int, content: IO[bytes] | None) -> None:
    """Write what a log has grown by where it belongs: doing so twice changes nothing."""
    if path.is_symlink():
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.seek(offset)
        if content:
            shutil.copyfileobj(content, file, _CHUNK)


def _replace(path: Path, entry: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    aside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if entry.issym():
            aside.symlink_to(entry.linkname)
        elif content is None:
            return
        else:
            with aside.open("xb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
            aside.chmod(entry.mode & 0o755 | 0o600)
            # When it was written tells from which step a resumed run goes on.
            os.utime(aside, (entry.mtime, entry.mtime))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    # Gone already, with a folder that is something else now, say.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if path.is_dir() and not path.is_symlink():
            # Something else may have been put into it meanwhile.
            with contextlib.suppress(OSError):
                path.rmdir()
        else:
            path.unlink()
