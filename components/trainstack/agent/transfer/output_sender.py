"""Send what a run writes, as one tar stream: `python -m trainstack.agent.transfer.output_sender FOLDER`.

For nodes that share no folder with their supervisor. Runs beside them and writes to its standard output, a moment
after each change, what has changed since they started: whole files, of logs and metrics only what was appended, and
what was removed. At SIGTERM it looks one last time and ends with the mark by which the other side
(`trainstack.targets.transfer.output_receiver`) knows that the stream is complete.

The other side can be cut off at any moment and still holds a state that a script can resume from: of `ORDERED` folders
a file is sent when it has not changed from one look to the next, the oldest first, so that a checkpoint is there
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
GROWING = re.compile(r"logs/(run|node-\d+)\.txt|tracking/.*/metrics/.*")
"""Files that are only ever appended to."""
PRIVATE = ".output-sender"
"""Folder of our own, which is not sent; `initial.json` in it lists the files that the nodes have from the start."""
OFFSET = "TRAINSTACK.offset"
"""Header of an entry whose bytes belong at this place of a file that is there."""
GONE = "TRAINSTACK.gone"
"""Header of an entry without content: the file or folder was removed."""
LAST = "TRAINSTACK.last"
"""Header of the entry after which nothing follows."""
LOOK_SECONDS = 0.25
MAX_UNSETTLED_LOOKS = 8
"""A file that keeps changing is sent as it is after so many looks, so that it delays nothing any longer."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _FileState:
    """What distinguishes two states of a file."""

    kind: int
    size: int
    mtime: int
    inode: int = 0

    def same(self, other: _FileState | None) -> bool:
        return other is not None and (self.kind, self.size, self.mtime) == (other.kind, other.size, other.mtime)


class OutputSender:
    """Records what the receiver has, and sends what it does not have."""

    def __init__(self, root: Path, out: BinaryIO) -> None:
        """Send what changes below `root` to `out`."""
        self._root = root
        self._out = out
        self._received = _initial_files(root)
        self._before: dict[str, _FileState] = {}
        self._unsettled: dict[str, int] = {}

    @property
    def received_bytes(self) -> int:
        """Bytes of the files that the receiver has."""
        return sum(state.size for state in self._received.values())

    def send(self, *, last: bool = False) -> None:
        """Look at the folder once, and send what has changed.

        Args:
            last: Whether nothing changes any more: send everything, and the end of the stream.

        Raises:
            OSError: Nothing reads the stream.
        """
        files = dict(_listing(self._root))
        waiting: set[str] = set()
        for name in sorted(files, key=lambda name: _order(name, files[name])):
            top = name.partition("/")[0]
            if top in waiting or files[name].same(self._received.get(name)):
                continue
            sent = (last or self._settled(name, files[name])) and self._entry(name, files[name], last)
            if not sent and top in ORDERED:
                waiting.add(top)
        for name in sorted(self._received.keys() - files.keys(), reverse=True):
            if name.partition("/")[0] not in waiting:
                self._header(_info(name, {GONE: "1"}))
                del self._received[name]
        self._before = files
        if last:
            self._header(_info(".", {LAST: "1"}))
            self._out.write(bytes(2 * tarfile.BLOCKSIZE))
        self._out.flush()

    def _settled(self, name: str, state: _FileState) -> bool:
        """Return whether a file can be sent: its writer replaces it, appends to it, or has finished."""
        if not stat.S_ISREG(state.kind) or name.startswith("nodes/") or GROWING.fullmatch(name):
            return True
        unsettled = self._unsettled.pop(name, 0)
        before = self._before.get(name)
        # Another file under the same name was written aside and put in its place.
        if state == before or (before and state.inode != before.inode) or unsettled >= MAX_UNSETTLED_LOOKS:
            return True
        self._unsettled[name] = unsettled + 1
        return False

    def _entry(self, name: str, state: _FileState, last: bool) -> bool:
        """Send one entry; return whether it was unchanged since the look."""
        if stat.S_ISREG(state.kind):
            return self._file(name, state, last)
        info = _info(name)
        info.mtime, info.mode = state.mtime / 1e9, 0o755
        info.type = tarfile.DIRTYPE
        if stat.S_ISLNK(state.kind):
            info.type = tarfile.SYMTYPE
            try:
                info.linkname = str((self._root / name).readlink())
            except OSError:
                return False
        self._header(info)
        self._received[name] = state
        return True

    def _file(self, name: str, state: _FileState, last: bool) -> bool:
        try:
            descriptor = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            now = _file_state(os.fstat(descriptor))
            offset, headers = 0, dict[str, str]()
            if GROWING.fullmatch(name):
                previous = self._received.get(name, _FileState(0, 0, 0))
                if now.size >= previous.size and previous.inode in (0, now.inode):
                    offset = previous.size
                    headers[OFFSET] = str(offset)
            elif not now.same(state) and not last:
                return False
            info = _info(name, headers)
            info.size, info.mode, info.mtime = now.size - offset, stat.S_IMODE(now.kind), now.mtime / 1e9
            self._header(info)
            file.seek(offset)
            self._bytes(file, info.size)
        self._received[name] = now
        return True

    def _bytes(self, file: BinaryIO, size: int) -> None:
        """Send exactly `size` bytes: a file that has shrunk is padded, and sent again next time."""
        remaining = size
        while remaining:
            data = file.read(min(remaining, _CHUNK)) or bytes(min(remaining, _CHUNK))
            self._out.write(data)
            remaining -= len(data)
        self._out.write(bytes(-size % tarfile.BLOCKSIZE))

    def _header(self, info: tarfile.TarInfo) -> None:
        self._out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))


def main() -> None:
    """Send until SIGTERM."""
    # A blocked signal stays pending until `sigtimedwait`, also for process 1 of a container, which would ignore it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sender = OutputSender(Path(sys.argv[1]), io.BufferedWriter(io.FileIO(1, "wb", closefd=False), _CHUNK))
    sender.send()
    while signal.sigtimedwait({signal.SIGTERM}, LOOK_SECONDS) is None:
        sender.send()
    sender.send(last=True)


def _initial_files(root: Path) -> dict[str, _FileState]:
    """Return what the receiver has from the start; its times are whole seconds, those of a new file hardly are."""
    try:
        initial: dict[str, list[int]] = json.loads((root / PRIVATE / "initial.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {name: _FileState(kind, size, seconds * 10**9) for name, (kind, size, seconds) in initial.items()}


def _listing(root: Path, prefix: str = "") -> Iterator[tuple[str, _FileState]]:
    try:
        entries = list(os.scandir(root / prefix))
    except OSError:
        return
    for entry in entries:
        name = prefix + entry.name
        if name == PRIVATE:
            continue
        try:
            state = _file_state(entry.stat(follow_symlinks=False))
        except OSError:
            continue
        if stat.S_ISDIR(state.kind):
            # Its times and size change with what is in it, which is sent on its own.
            yield name, _FileState(stat.S_IFDIR, 0, 0)
            yield from _listing(root, f"{name}/")
        elif stat.S_ISREG(state.kind) or stat.S_ISLNK(state.kind):
            yield name, state


def _file_state(status: os.stat_result) -> _FileState:
    return _FileState(status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)


def _order(name: str, state: _FileState) -> tuple[bool, int, int, str]:
    """Folders first, then the oldest; of two that are as old the larger, since pointers are small."""
    return not stat.S_ISDIR(state.kind), state.mtime, -state.size, name


def _info(name: str, headers: dict[str, str] | None = None) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.pax_headers = headers or {}
    return info


if __name__ == "__main__":
    main()
