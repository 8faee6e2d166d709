"""A server process that has loaded a module, and forks a daemon that runs the module's `main` for each request.

An interpreter that loads what a supervisor needs takes a quarter of a second to start. A sweep starts a supervisor for
each trial while a slot stands empty, so its driver keeps one such server: a fork of it starts at once. The server ends
with the driver; its daemons go on.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

from trainstack import process_environment
from trainstack.storage.log_file import open_log

_STARTED = b"1"


class StartRequest(TypedDict):
    """One line on the server's standard input."""

    arguments: list[str]
    folder: str
    log: str
    nice: int
    stdin: str
    variables: dict[str, str]


class PreforkServer:
    """A handle of the server process."""

    def __init__(self, module: str) -> None:
        """Start the server, without waiting until it has loaded the module.

        Args:
            module: The module whose `main` it starts. Its function `preload`, if there is one, is called once.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=process_environment.base(),
        )

    def start(
        self, *arguments: str, folder: Path, log: Path, stdin: bytes, variables: dict[str, str], nice: int
    ) -> bool:
        """Start `main(*arguments)`, as `daemonize.start` does.

        Returns:
            Whether it was started; false when the server has ended.
        """
        request = StartRequest(
            arguments=list(arguments),
            folder=str(folder),
            log=str(log),
            nice=nice,
            stdin=stdin.decode(),
            variables=variables,
        )
        requests, answers = self._process.stdin, self._process.stdout
        if requests is not None and answers is not None:
            with contextlib.suppress(OSError):
                requests.write(json.dumps(request).encode() + b"\n")
                requests.flush()
                return answers.read(len(_STARTED)) == _STARTED
        return False

    def close(self) -> None:
        """End the server; its daemons go on."""
        with contextlib.suppress(OSError):
            self._process.communicate()


def main(module: str) -> None:
    """Load a module and start its `main` for each request on the standard input, until that ends.

    Args:
        module: The module's name.
    """
    loaded: Any = importlib.import_module(module)
    if hasattr(loaded, "preload"):
        loaded.preload()
    # Requests and answers have descriptors of their own: each daemon gets its own standard input and output.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    _redirect(os.open(os.devnull, os.O_RDWR), 0, 1)
    for line in requests:
        child = os.fork()
        if child == 0:
            request: StartRequest = json.loads(line)
            _detach(request, requests, answers)
            loaded.main(*request["arguments"])
            return
        _, status = os.waitpid(child, 0)
        os.write(answers, _STARTED if status == 0 else b"0")


def _detach(request: StartRequest, requests: BinaryIO, answers: int) -> None:
    """Become a daemon with the folder, the log and the input of a request."""
    requests.close()
    os.close(answers)
    reading, writing = os.pipe()
    with open_log(Path(request["log"])) as file:
        log = os.dup(file.fileno())
    os.chdir(request["folder"])
    if os.fork():
        # The process between waits until the daemon has read everything, so that a pipe's size is no limit.
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe, contextlib.suppress(OSError):
            pipe.write(request["stdin"].encode())
        os._exit(0)
    os.close(writing)
    os.setsid()
    os.nice(request["nice"])
    os.environ.update(request["variables"])
    _redirect(reading, 0)
    _redirect(log, 1, 2)


def _redirect(descriptor: int, *numbers: int) -> None:
    for number in numbers:
        os.dup2(descriptor, number)
    os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1])
