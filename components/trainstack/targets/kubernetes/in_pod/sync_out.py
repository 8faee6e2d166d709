"""Sends the outputs of a node for as long as somebody receives them: `sync_out.py WRITTEN FOLDER [segments]`.

What runs is the agent's `output_sender`; an exec has no signals, so its standard input says what to do. `l`: one last
look. `h`: all outputs are fetched, the pod may end. `u`: a line follows, an address to put a
segment to, where segments were asked for. Its end: nobody receives any more.
"""

import os
import queue
import select
import signal
import sys
import threading

_HEARTBEAT_SECONDS = 2.0


def obey(folder: str, addresses: "queue.Queue[str]") -> None:
    """Do what standard input says."""
    heartbeat = os.path.join(folder, "heartbeat")  # noqa: PTH118
    while True:
        with open(heartbeat, "wb"):  # noqa: PTH123
            os.utime(heartbeat)
        if not select.select([0], [], [], _HEARTBEAT_SECONDS)[0]:
            continue
        command = os.read(0, 1)
        if command == b"l":
            os.kill(os.getpid(), signal.SIGTERM)
        elif command == b"h":
            with open(os.path.join(folder, "synced"), "wb"):  # noqa: PTH118, PTH123
                os._exit(0)
        elif command == b"u":
            addresses.put(read_line())
        elif not command:
            os._exit(1)


def read_line() -> str:
    """The rest of a line of standard input."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(1)
        line += byte
    return line.decode().strip()


def main() -> None:
    """Send until all is fetched."""
    # Blocked in this thread and so in all: the sender looks for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    addresses: queue.Queue[str] = queue.Queue()
    listener = threading.Thread(target=obey, args=(sys.argv[2], addresses), daemon=True)
    listener.start()
    from trainstack.agent.transfer import chunked_stream, output_sender

    diverted = chunked_stream.ChunkedStdout(addresses) if sys.argv[3:] == ["segments"] else None
    output_sender.main()
    if diverted:
        diverted.close()
    listener.join()


if __name__ == "__main__":
    main()
