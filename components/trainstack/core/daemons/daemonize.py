"""Start a module as a daemon, which outlives `pulumi up`, the engine and the terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from trainstack.core.daemons.prefork import PreforkServer
from trainstack.storage.atomic import disk_errors
from trainstack.storage.log_file import open_log

# The child forks and exits, so that init adopts the process.
_FORK = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
os.nice({nice})
from {module} import main
main(*sys.argv[1:])
"""
_prefork_servers: dict[str, PreforkServer] = {}


@contextlib.contextmanager
def prefork(module: str) -> Generator[None]:
    """Let `start` fork a process that has loaded the module, while the block lasts. For modules that start often.

    Args:
        module: The module's name.
    """
    _prefork_servers[module] = PreforkServer(module)
    try:
        yield
    finally:
        _prefork_servers.pop(module).close()


def start(module: str, *arguments: str, folder: Path, log: Path, stdin: bytes = b"", nice: int = 0) -> None:
    """Start `main(*arguments)` of a module, and return as soon as it is detached from this process.

    Args:
        module: The module's name.
        *arguments: The arguments of its `main`.
        folder: Its working folder.
        log: Gets what it prints.
        stdin: Its standard input, which may hold secrets.
        nice: Its niceness.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    with disk_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        server = _prefork_servers.get(module)
        if server is not None and server.start(*arguments, folder=folder, log=log, stdin=stdin, nice=nice):
            return
        with open_log(log) as output:
            child = subprocess.Popen(
                [sys.executable, "-c", _FORK.format(module=module, nice=nice), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
    child.communicate(stdin)
