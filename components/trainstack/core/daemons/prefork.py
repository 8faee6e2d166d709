"""A process that has loaded a module of ours, and starts the module's `main` as nobody's child, again and again.

Starting an interpreter and loading what a supervisor needs takes a quarter of a second. A sweep starts a supervisor
for each trial while a slot stands empty, so its driver keeps one such process: a fork of it starts at once. It ends
when the driver does; what it has started goes on.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

_STARTED = b"1"


class Warm:
    """The process, as the one who keeps it sees it."""

    def __init__(self, module: str) -> None:
        """Start it; does not wait until it has loaded anything.

        Args:
            module: The module whose `main` it starts. Its `warm_up`, where it has one, is called first, and once.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )

    def start(self, *arguments: str, folder: Path, log: Path, given: bytes, nice: int) -> bool:
        """Start `main(*arguments)`, as `detached.start` does.

        Returns:
            Whether it was started. When this process is gone, somebody else has to.
        """
        asked = {"arguments": arguments, "folder": str(folder), "log": str(log), "nice": nice, "given": given.decode()}
        requests, answers = self._process.stdin, self._process.stdout
        if requests is not None and answers is not None:
            with contextlib.suppress(OSError):
                requests.write(json.dumps(asked).encode() + b"\n")
                requests.flush()
                return answers.read(len(_STARTED)) == _STARTED
        return False

    def close(self) -> None:
        """End it; what it has started goes on."""
        with contextlib.suppress(OSError):
            self._process.communicate()


def main(module: str) -> None:
    """Load a module and start its `main` for each request on the standard input, until that ends.

    Args:
        module: The module's name.
    """
    loaded: Any = importlib.import_module(module)
    if hasattr(loaded, "warm_up"):
        loaded.warm_up()
    # Requests and answers have descriptors of their own: what is started gets others for its standard ones.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    _redirect(os.open(os.devnull, os.O_RDWR), 0, 1)
    for line in requests:
        child = os.fork()
        if child == 0:
            asked: dict[str, Any] = json.loads(line)
            _leave(asked, requests, answers)
            loaded.main(*asked["arguments"])
            return
        _, status = os.waitpid(child, 0)
        os.write(answers, _STARTED if status == 0 else b"0")


def _leave(asked: dict[str, Any], requests: BinaryIO, answers: int) -> None:
    """Become nobody's child, with the folder, the log and the input that were asked for."""
    requests.close()
    os.close(answers)
    reading, writing = os.pipe()
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.chdir(asked["folder"])
    if os.fork():
        # The one between waits until all is read, so that a pipe's size is no limit.
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe, contextlib.suppress(OSError):
            pipe.write(asked["given"].encode())
        os._exit(0)
    os.close(writing)
    os.setsid()
    os.nice(asked["nice"])
    _redirect(reading, 0)
    _redirect(log, 1, 2)


def _redirect(descriptor: int, *numbers: int) -> None:
    for number in numbers:
        os.dup2(descriptor, number)
    os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1])
