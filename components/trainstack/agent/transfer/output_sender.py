"""Send what a run writes, as one tar stream: `python -m trainstack.agent.transfer.output_sender FOLDER`.

For nodes that share no folder with their supervisor. Runs beside them and writes to its standard output, a moment
after each change, what has changed since they started: whole files, of logs and metrics only what was appended, and
what was removed. SIGTERM makes it look one last time and end with the mark by which the other side
(`trainstack.targets.transfer.output_receiver`) knows that nothing is missing.

The other side can be cut off at any moment and still holds a state that a script can resume from: of `ORDERED` folders
a file is sent when it has been left alone from one look to the next, the oldest first, so that a checkpoint is there
before the file that points to it; what has changed on the way waits, with everything newer, for the next look.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ORDERED = ("checkpoints", "outputs")
"""Folders whose files may point to each other."""
GROWING = re.compile(r"logs/(run|node-\d+|rank-\d+)\.txt|tracking/.*/metrics/.*")
"""Files that are only ever appended to."""
PRIVATE = ".outbound"
"""Folder of our own, which is not sent; `given.json` in it says what the nodes were given to begin with."""
OFFSET = "TRAINSTACK.offset"
"""Header of an entry whose bytes belong at this place of a file that is there."""
GONE = "TRAINSTACK.gone"
"""Header of an entry without content: the file or folder was removed."""
LAST = "TRAINSTACK.last"
"""Header of the entry after which nothing follows."""
LOOK_SECONDS = 0.25
RESTLESS_LOOKS = 8
"""A file that is never left alone is sent as it is after so many looks, and holds up nothing any longer."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Seen:
    """What tells one state of a file from another."""

    kind: int
    size: int
    mtime: int
    inode: int = 0

    def same(self, other: _Seen | None) -> bool:
        return other is not None and (self.kind, self.size, self.mtime) == (other.kind, other.size, other.mtime)


class Outbound:
    """Knows what the other side has, and sends what it has not."""

    def __init__(self, root: Path, out: BinaryIO) -> None:
        """Send what changes below `root` to `out`."""
        self._root = root
        self._out = out
        self._there = _given(root)
        self._before: dict[str, _Seen] = {}
        self._restless: dict[str, int] = {}

    @property
    def known_bytes(self) -> int:
        """How much the other side has, as files."""
        return sum(seen.size for seen in self._there.values())

    def send(self, *, last: bool = False) -> None:
        """Look once, and send what has changed.

        Args:
            last: Nothing changes any more: send everything, and the end of the stream.

        Raises:
            OSError: Nobody reads any more.
        """
        found = dict(_listing(self._root))
        waiting: set[str] = set()
        for name in sorted(found, key=lambda name: _order(name, found[name])):
            top = name.partition("/")[0]
            if top in waiting or found[name].same(self._there.get(name)):
                continue
            sent = (last or self._settled(name, found[name])) and self._entry(name, found[name], last)
            if not sent and top in ORDERED:
                waiting.add(top)
        for name in sorted(self._there.keys() - found.keys(), reverse=True):
            if name.partition("/")[0] not in waiting:
                self._header(_info(name, {GONE: "1"}))
                del self._there[name]
        self._before = found
        if last:
            self._header(_info(".", {LAST: "1"}))
            self._out.write(bytes(2 * tarfile.BLOCKSIZE))
        self._out.flush()

    def _settled(self, name: str, seen: _Seen) -> bool:
        """Whether a file can be sent now: its writer replaces it whole, appends to it, or has left it alone."""
        if not stat.S_ISREG(seen.kind) or name.startswith("nodes/") or GROWING.fullmatch(name):
            return True
        restless = self._restless.pop(name, 0)
        before = self._before.get(name)
        # Another file under the same name was written aside and put in its place.
        if seen == before or (before and seen.inode != before.inode) or restless >= RESTLESS_LOOKS:
            return True
        self._restless[name] = restless + 1
        return False

    def _entry(self, name: str, seen: _Seen, last: bool) -> bool:
        """Send one entry; gives whether it still was what had been seen."""
        if stat.S_ISREG(seen.kind):
            return self._file(name, seen, last)
        info = _info(name)
        info.mtime, info.mode = seen.mtime / 1e9, 0o755
        info.type = tarfile.DIRTYPE
        if stat.S_ISLNK(seen.kind):
            info.type = tarfile.SYMTYPE
            try:
                info.linkname = str((self._root / name).readlink())
            except OSError:
                return False
        self._header(info)
        self._there[name] = seen
        return True

    def _file(self, name: str, seen: _Seen, last: bool) -> bool:
        try:
            descriptor = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            now = _seen(os.fstat(descriptor))
            offset, headers = 0, dict[str, str]()
            if GROWING.fullmatch(name):
                known = self._there.get(name, _Seen(0, 0, 0))
                if now.size >= known.size and known.inode in (0, now.inode):
                    offset = known.size
                    headers[OFFSET] = str(offset)
            elif not now.same(seen) and not last:
                return False
            info = _info(name, headers)
            info.size, info.mode, info.mtime = now.size - offset, stat.S_IMODE(now.kind), now.mtime / 1e9
            self._header(info)
            file.seek(offset)
            self._bytes(file, info.size)
        self._there[name] = now
        return True

    def _bytes(self, file: BinaryIO, size: int) -> None:
        """Send exactly so many bytes: a file that has shrunk meanwhile is filled up, and sent again next time."""
        left = size
        while left:
            data = file.read(min(left, _CHUNK)) or bytes(min(left, _CHUNK))
            self._out.write(data)
            left -= len(data)
        self._out.write(bytes(-size % tarfile.BLOCKSIZE))

    def _header(self, info: tarfile.TarInfo) -> None:
        self._out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))


def main() -> None:
    """Send until SIGTERM."""
    # Blocked, it waits until it is looked for, and is not lost on a process that is number 1 of a container.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    outbound = Outbound(Path(sys.argv[1]), io.BufferedWriter(io.FileIO(1, "wb", closefd=False), _CHUNK))
    outbound.send()
    while signal.sigtimedwait({signal.SIGTERM}, LOOK_SECONDS) is None:
        outbound.send()
    outbound.send(last=True)


def _given(root: Path) -> dict[str, _Seen]:
    """What the other side has had from the start; its times are whole seconds, those of anything new hardly are."""
    try:
        described: dict[str, list[int]] = json.loads((root / PRIVATE / "given.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {name: _Seen(kind, size, seconds * 10**9) for name, (kind, size, seconds) in described.items()}


def _listing(root: Path, prefix: str = "") -> Iterator[tuple[str, _Seen]]:
    try:
        entries = list(os.scandir(root / prefix))
    except OSError:
        return
    for entry in entries:
        name = prefix + entry.name
        if name == PRIVATE:
            continue
        try:
            seen = _seen(entry.stat(follow_symlinks=False))
        except OSError:
            continue
        if stat.S_ISDIR(seen.kind):
            # Its times and size change with what is in it, which is sent for itself.
            yield name, _Seen(stat.S_IFDIR, 0, 0)
            yield from _listing(root, f"{name}/")
        elif stat.S_ISREG(seen.kind) or stat.S_ISLNK(seen.kind):
            yield name, seen


def _seen(status: os.stat_result) -> _Seen:
    return _Seen(status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)


def _order(name: str, seen: _Seen) -> tuple[bool, int, int, str]:
    """Folders first, then the oldest; of two that are as old the larger, since pointers are small."""
    return not stat.S_ISDIR(seen.kind), seen.mtime, -seen.size, name


def _info(name: str, headers: dict[str, str] | None = None) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.pax_headers = headers or {}
    return info


if __name__ == "__main__":
    main()
