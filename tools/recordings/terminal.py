"""A shell in a pseudoterminal: commands are typed into it, and what it shows is kept with its time."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

# The shell says by a title, which no terminal shows, that it waits for the next command.
_READY = "\x1b]2;ready\x07"
_PROMPT = rf"\[{_READY}\]\[\e[32m\]$\[\e[0m\] "
_KEYSTROKE_SECONDS = 0.04
_LONGEST_SECONDS = 900.0


class Session:
    """A recorded shell.

    Attributes:
        output: Seconds since the start, and the text that the terminal got then.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str], columns: int, rows: int) -> None:
        self.output: list[tuple[float, str]] = []
        self._folder, self._variables, self._size = folder, variables, (rows, columns)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> Session:
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            os.chdir(self._folder)
            shell = ["bash", "--noprofile", "--norc", "-i"]
            os.execvpe("bash", shell, {**self._variables, "PS1": _PROMPT})
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *self._size, 0, 0))
        self._started = time.monotonic()
        self._until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.kill(self._child, signal.SIGHUP)
        os.close(self._terminal)
        os.waitpid(self._child, 0)

    def type(self, command: str) -> None:
        """Type a command, and wait until the shell is ready for the next."""
        for key in command:
            os.write(self._terminal, key.encode())
            self._read(_KEYSTROKE_SECONDS)
        os.write(self._terminal, b"\r")
        self._until_ready()

    def _until_ready(self) -> None:
        deadline = time.monotonic() + _LONGEST_SECONDS
        seen = ""
        while _READY not in seen:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the shell was not ready within {_LONGEST_SECONDS:g} s: {seen[-500:]}")
            seen += self._read(0.2)

    def _read(self, seconds: float) -> str:
        """Take what comes within a time; returns as soon as something did."""
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        text = self._decoder.decode(os.read(self._terminal, 65536)) if ready else ""
        if text:
            self.output.append((time.monotonic() - self._started, text))
        return text
