"""Two processes exchange the same bytes over plain TCP on 127.0.0.1: the bound of what a reduction by TCP can reach.

A ring of two ranks sends each the whole tensor once and receives it once, so both directions are busy here too.
"""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import threading
import time


def milliseconds(size: int, times: int = 25) -> float:
    """Median time in which each of two processes has sent and received `size` bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    other = multiprocessing.get_context("spawn").Process(
        target=_other, args=(listener.getsockname()[1], size, times + 3)
    )
    other.start()
    connection, _ = listener.accept()
    found = _exchange(connection, size, times + 3)
    other.join()
    return 1000 * statistics.median(found[3:])


def _other(port: int, size: int, times: int) -> None:
    _exchange(socket.create_connection(("127.0.0.1", port)), size, times)


def _exchange(connection: socket.socket, size: int, times: int) -> list[float]:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sent, received = bytes(size), bytearray(size)
    found: list[float] = []
    with connection:
        for _ in range(times):
            connection.sendall(b"!")
            connection.recv(1)
            started = time.perf_counter()
            sender = threading.Thread(target=connection.sendall, args=(sent,))
            sender.start()
            rest = memoryview(received)
            while rest:
                rest = rest[connection.recv_into(rest) :]
            sender.join()
            found.append(time.perf_counter() - started)
    return found


if __name__ == "__main__":
    print(f"64 MiB each way: {milliseconds(64 * 2**20):.1f} ms")
