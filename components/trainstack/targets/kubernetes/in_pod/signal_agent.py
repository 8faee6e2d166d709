"""Signals a node from within its pod: `signal_agent.py NUMBER`. Process 1 passes on SIGTERM and outlives SIGKILL."""

import contextlib
import os
import signal
import sys


def main() -> None:
    """SIGTERM goes to process 1, SIGKILL to all but it."""
    number = int(sys.argv[1])
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1 if number == signal.SIGKILL else 1, number)


if __name__ == "__main__":
    main()
