"""Sends home what a node writes, for as long as somebody listens: `send.py WRITTEN FOLDER`.

What runs is `trainstack.launch.outbound`; an exec has no signals, so its standard input says what to do. `l`: one last
look. `h`: all of it is home, the pod may go. Its end: nobody listens any more.
"""

import os
import select
import signal
import sys
import threading

_HEARD_SECONDS = 10.0


def obey(folder: str) -> None:
    """Do what standard input says."""
    heard = os.path.join(folder, "heard")  # noqa: PTH118
    while True:
        with open(heard, "wb"):  # noqa: PTH123
            os.utime(heard)
        if not select.select([0], [], [], _HEARD_SECONDS)[0]:
            continue
        said = os.read(0, 1)
        if said == b"l":
            os.kill(os.getpid(), signal.SIGTERM)
        elif said == b"h":
            with open(os.path.join(folder, "home"), "wb"):  # noqa: PTH118, PTH123
                os._exit(0)
        elif not said:
            os._exit(1)


def main() -> None:
    """Send until told."""
    # Blocked in this thread and so in all: the sender looks for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    listener = threading.Thread(target=obey, args=(sys.argv[2],), daemon=True)
    listener.start()
    from trainstack.launch import outbound

    outbound.main()
    listener.join()


if __name__ == "__main__":
    main()
