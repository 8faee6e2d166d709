"""First process of a node: waits for its variables, then runs the agent and stays its parent.

`entrypoint.py FIFO PLAN ENDED SECONDS COMMAND…`. The variables come through a pipe that only this pod has, from
whoever may exec into it; COMMAND gets them on its standard input. As its parent it can tell how the agent ended even
when it was killed, and writes that into the file ENDED: of a pod that is being deleted a cluster says nothing until
all of it has ended.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

_RESOLVE_SECONDS = 60.0
_LAUNCHER_SECONDS = 2.0


def main() -> int:
    """Run the command to its end; gives its exit code, 128 and the number for a signal."""
    fifo, plan, ended, seconds, command = *sys.argv[1:4], int(sys.argv[4]), sys.argv[5:]
    agent = None

    def forward_signal(number: int, _frame: object) -> None:
        if agent is None:
            os._exit(128 + number)
        agent.send_signal(number)

    def give_up(_number: int, _frame: object) -> None:
        print("trainstack: nobody sent the variables of this node", file=sys.stderr, flush=True)
        os._exit(2)

    signal.signal(signal.SIGTERM, forward_signal)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    os.mkfifo(fifo, 0o600)
    with open(fifo, "rb") as pipe:  # noqa: PTH123 (opens when somebody writes)
        line = pipe.readline()
    os.unlink(fifo)  # noqa: PTH108
    signal.alarm(0)
    if not line.endswith(b"\n"):
        give_up(0, None)
    wait_for_names(plan)
    agent = subprocess.Popen(command, stdin=subprocess.PIPE)
    # One that has ended already tells so by its exit code.
    with contextlib.suppress(BrokenPipeError):
        if agent.stdin is not None:
            agent.stdin.write(line)
            agent.stdin.close()
    del line
    while True:
        # Whatever else has become a child of process 1 is let go of on the way.
        pid, status = os.wait()
        if pid == agent.pid:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            # A full disk must not change how the node ended.
            with contextlib.suppress(OSError):
                with open(f"{ended}.new", "w") as file:  # noqa: PTH123
                    file.write(str(code))
                os.replace(f"{ended}.new", ended)  # noqa: PTH105
            wait_for_launcher()
            return code


def wait_for_launcher() -> None:
    """Give whoever waits in this container for its end, an MPIJob's launcher, a moment to see it."""
    marker = os.environ.get("TRAINSTACK_EXIT_CODE_READ", "")
    deadline = time.monotonic() + _LAUNCHER_SECONDS
    while marker and not os.path.exists(marker) and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.02)


def wait_for_names(plan: str) -> None:
    """Wait until every node can be called by its name: name servers learn of pods a moment after they start."""
    with open(plan, "rb") as file:  # noqa: PTH123
        names = json.load(file)["nodes"]
    deadline = time.monotonic() + _RESOLVE_SECONDS
    for name in names:
        while time.monotonic() < deadline:
            try:
                socket.getaddrinfo(name, None)
                break
            except OSError:
                time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
