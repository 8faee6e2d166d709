"""The first process of a container: `python -m trainstack.agent.container_entrypoint --log FILE --plan FILE --node N`.

It reads the node's variables from its standard input, one line of JSON, so that no secret stands in the container's
configuration; then it becomes the agent, whose output goes to the run's log.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from . import __main__ as agent
from .agent import NOT_LAUNCHED


def main() -> int:
    """Read the variables, redirect the output to the log, and run the agent. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainstack.agent.container_entrypoint", description=__doc__)
    parser.add_argument("--log", required=True, help="file that the agent's output is appended to")
    arguments, rest = parser.parse_known_args()
    # Byte by byte, so that nothing stays in a buffer of this process.
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            print("trainstack: the variables of this node did not arrive on standard input", file=sys.stderr)
            return NOT_LAUNCHED
        line += byte
    variables: dict[str, Any] = json.loads(line)
    os.environ.update({name: str(value) for name, value in variables.items()})
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    log = os.open(arguments.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    sys.argv[1:] = rest
    return agent.main()


if __name__ == "__main__":
    sys.exit(main())
