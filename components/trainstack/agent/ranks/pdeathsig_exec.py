"""Replace this process by a program that dies with the agent: `python -I -S pdeathsig_exec.py AGENT_PID PROGRAM …`.

The kernel's PR_SET_PDEATHSIG must be set in the child itself, before its program starts. Doing that here, and
not between fork and exec in the agent, means that no lock of the agent's other threads can block the child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for a signal at the parent's death, then run the program that the arguments name."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        # The agent may have died before that call, and then no signal will ever come: look at the parent.
        if os.getppid() != int(sys.argv[1]):
            sys.exit(1)
    try:
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - there is no shell to go through
    except OSError as exc:
        sys.exit(f"{sys.argv[2]}: {exc.strerror}")


if __name__ == "__main__":
    main()
