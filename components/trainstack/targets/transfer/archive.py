"""What nodes are handed when they share no folder with the run directory: tar streams, made as they are read.

One of what they are given (code, data, agent, plan), one of what they go on writing (checkpoints and what else earlier
attempts left), with a list of the latter: what the receiver of
`trainstack.agent.transfer.output_sender` has from the start.
"""

from __future__ import annotations

import functools
import hashlib
import json
import stat
import tarfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from trainstack.agent.transfer.output_sender import PRIVATE
from trainstack.targets.base import WRITTEN, Layout, RunRef

ALONE_BYTES = 8 << 20
"""A file of a dataset that is as large is a piece of its own."""
_CHUNK = 1 << 20
_Entry: TypeAlias = tuple[Path, tarfile.TarInfo]
_LINKED = ("outputs", "logs")


@dataclass(frozen=True)
class Piece:
    """A tar stream, known by its content.

    Attributes:
        digest: Its hex SHA-256.
        size: Bytes.
        stream: Gives it.
    """

    digest: str
    size: int
    stream: Callable[[], Iterator[bytes]]


def read_only_stream(ref: RunRef, layout: Layout, user: int) -> Generator[bytes]:
    """A tar stream of what nodes are given, owned by root and readable by all.

    Args:
        ref: The run.
        layout: Where the nodes find things: `code` gets its links from it.
        user: Number of the user and group that nodes run as, to whom the folders of the code belong: scripts may write
            beside it.
    """
    yield from _archive([*_read_only_entries(ref, layout, user)])


def pieces(ref: RunRef, layout: Layout, user: int) -> Generator[Piece]:
    """The same in pieces, of which each is the same for every run that is given the same: tar streams.

    Code and agent are one; the plan, which every attempt has anew, is one; of each dataset a large file is one, and all
    others together are one.

    Args:
        ref: The run.
        layout: Where the nodes find things.
        user: To whom the folders of the code belong.
    """
    groups: dict[str, list[_Entry]] = {}
    for path, info in _read_only_entries(ref, layout, user):
        # When a file was written is no part of what it is.
        info.mtime = 0
        top, _, rest = info.name.partition("/")
        if top == "data" and info.isreg() and info.size >= ALONE_BYTES:
            group = info.name
        else:
            group = f"data/{rest.partition('/')[0]}" if top == "data" and rest else "code" if top == "agent" else top
        groups.setdefault(group, []).append((path, info))
    for entries in groups.values():
        yield _piece(functools.partial(_archive, entries))


def _read_only_entries(ref: RunRef, layout: Layout, user: int) -> Iterator[_Entry]:
    for name in ("code", "data", "agent", "launch.json"):
        for path, relative in _below(ref.root / name, name):
            if relative.parent.name == "code" and relative.name in _LINKED and len(relative.parts) == 2:
                continue
            is_working_folder = name == "code" and path.is_dir()
            yield path, _info(path, relative, user if is_working_folder else 0, shared=True)
    for name in _LINKED:
        link = tarfile.TarInfo(f"code/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, str(getattr(layout, name))
        yield ref.root, link


def _archive(entries: list[_Entry]) -> Iterator[bytes]:
    for path, info in entries:
        yield from _entry(path, info)
    yield bytes(2 * tarfile.BLOCKSIZE)


def written_stream(ref: RunRef, user: int) -> Generator[bytes]:
    """A tar stream of what nodes go on writing, and the list of it.

    Args:
        ref: The run.
        user: Number of the user and group that nodes run as, to whom it belongs.
    """
    known: dict[str, tuple[int, int, int]] = {}
    for name in WRITTEN:
        (ref.root / name).mkdir(exist_ok=True)
        for path, relative in _below(ref.root / name, name):
            info = _info(path, relative, user, shared=False)
            if info.isdir():
                known[info.name] = (stat.S_IFDIR, 0, 0)
            elif info.isreg():
                known[info.name] = (stat.S_IFREG | info.mode, info.size, int(info.mtime))
            yield from _entry(path, info)
    folder = tarfile.TarInfo(PRIVATE)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    yield _header(folder)
    described = json.dumps(known).encode()
    info = tarfile.TarInfo(f"{PRIVATE}/initial.json")
    info.size, info.mode = len(described), 0o644
    yield _header(info)
    yield described + bytes(-len(described) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def written_piece(ref: RunRef, user: int) -> Piece:
    """The same as a piece; arguments as for `written_stream`."""
    return _piece(lambda: written_stream(ref, user))


def _piece(stream: Callable[[], Iterator[bytes]]) -> Piece:
    digest, size = hashlib.sha256(), 0
    for data in stream():
        digest.update(data)
        size += len(data)
    return Piece(digest.hexdigest(), size, stream)


def _below(path: Path, name: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """A file, or a folder and everything in it, folders first."""
    if not path.is_symlink() and not path.exists():
        return
    yield path, PurePosixPath(name)
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _below(child, f"{name}/{child.name}")


def _info(path: Path, relative: PurePosixPath, owner: int, *, shared: bool) -> tarfile.TarInfo:
    """Describe a file as it will be on the nodes: times in whole seconds, nothing of who owns it here."""
    status = path.lstat()
    info = tarfile.TarInfo(str(relative))
    info.uid = info.gid = owner
    info.mtime = int(status.st_mtime)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
    else:
        info.size = status.st_size
        info.mode = (0o755 if mode & 0o100 else 0o644) if shared else mode | 0o600
    return info


def _entry(path: Path, info: tarfile.TarInfo) -> Iterator[bytes]:
    yield _header(info)
    if not info.isreg():
        return
    remaining = info.size
    with path.open("rb") as file:
        while remaining and (data := file.read(min(remaining, _CHUNK))):
            remaining -= len(data)
            yield data
    if remaining:
        raise OSError(f"{path} shrank while it was sent")
    yield bytes(-info.size % tarfile.BLOCKSIZE)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
