"""Start a module as a daemon, which outlives `pulumi up`, the engine and the terminal."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

from trainstack import process_environment
from trainstack.core.daemons.prefork import PreforkServer
from trainstack.storage.atomic import disk_errors
from trainstack.storage.log_file import open_log

# The child forks and exits, so that init adopts the process. Variables that come through the pipe are in its
# environment and not in /proc/PID/environ, which holds what a process was started with.
_FORK = """
import json, os, sys
if os.fork():
    os._exit(0)
os.setsid()
os.nice({nice})
os.environ.update(json.loads(sys.stdin.buffer.readline()))
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


def start(
    module: str,
    *arguments: str,
    folder: Path,
    log: Path,
    stdin: bytes = b"",
    variables: Mapping[str, str] | None = None,
    nice: int = 0,
) -> None:
    """Start `main(*arguments)` of a module, and return as soon as it is detached from this process.

    Args:
        module: The module's name.
        *arguments: The arguments of its `main`.
        folder: Its working folder.
        log: Gets what it prints.
        stdin: Its standard input, which may hold secrets.
        variables: Its environment beside `process_environment.base`. They may be credentials: other processes do not
            see them.
        nice: Its niceness.
    """
    variables = dict(variables or {})
    with disk_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        server = _prefork_servers.get(module)
        if server is not None and server.start(
            *arguments, folder=folder, log=log, stdin=stdin, variables=variables, nice=nice
        ):
            return
        with open_log(log) as output:
            child = subprocess.Popen(
                [sys.executable, "-c", _FORK.format(module=module, nice=nice), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=process_environment.base(),
                cwd=folder,
                start_new_session=True,
            )
    child.communicate(json.dumps(variables).encode() + b"\n" + stdin)
