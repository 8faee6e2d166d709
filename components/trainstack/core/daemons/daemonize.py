"""Start a process of ours as nobody's child, so that it outlives `pulumi up`, the engine and the terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from trainstack.core.daemons.prefork import Warm
from trainstack.storage.atomic import disk_errors

# The child forks and leaves, so that the process belongs to init.
_FORK = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
os.nice({nice})
from {module} import main
main(*sys.argv[1:])
"""
_warm: dict[str, Warm] = {}


@contextlib.contextmanager
def kept_warm(module: str) -> Generator[None]:
    """While the block lasts, `start` of this module starts it at once. For those who start it again and again.

    Args:
        module: The module's name.
    """
    _warm[module] = Warm(module)
    try:
        yield
    finally:
        _warm.pop(module).close()


def start(module: str, *arguments: str, folder: Path, log: Path, given: bytes = b"", nice: int = 0) -> None:
    """Start `main(*arguments)` of a module; returns as soon as it is on its own.

    Args:
        module: The module's name.
        *arguments: What its `main` gets, as text.
        folder: Its working folder.
        log: Gets what it prints.
        given: What it reads from its standard input; secrets go this way.
        nice: How far it stands back behind others for the processor.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    with disk_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        warm = _warm.get(module)
        if warm is not None and warm.start(*arguments, folder=folder, log=log, given=given, nice=nice):
            return
        with log.open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-c", _FORK.format(module=module, nice=nice), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
    child.communicate(given)
