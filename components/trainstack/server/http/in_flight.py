"""How many requests are in flight: what an autoscaler on concurrency goes by.

A small model's answer is computed and written in one go, so a count of what is begun and not ended would always be
zero, however many clients wait. So twice a second all are counted that came and are not answered, with those that the
kernel still holds: bytes that nobody has read, connections that nobody has taken.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque

from .connection import Connections

_PAUSE = 0.5
_SAMPLES = 20
# Where `struct tcp_info` of <linux/tcp.h> has `tcpi_unacked`: of a listening socket, the connections in its queue.
_UNACKED = slice(24, 28)


class InFlight:
    """Requests in flight in one worker, over the last ten seconds.

    Args:
        loop: The event loop; counting begins with its next turn.
        connections: The worker's connections.
        queue: The listening socket, for the one worker that counts its queue; None for the others.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connections: Connections, queue: socket.socket | None = None
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._queue = queue
        self._samples: deque[int] = deque(maxlen=_SAMPLES)
        self._count()

    def mean(self) -> float:
        """How many there were on average."""
        samples = list(self._samples)
        return sum(samples) / len(samples)

    def _count(self) -> None:
        under_way = sum(connection.under_way() for connection in list(self._connections.open))
        self._samples.append(under_way + (_queued(self._queue) if self._queue is not None else 0))
        self._loop.call_later(_PAUSE, self._count)


def _queued(listener: socket.socket) -> int:
    """Connections that wait for somebody to take them; not known elsewhere than on Linux."""
    if sys.platform != "linux" or listener.fileno() < 0:
        return 0
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED.stop)
    return int.from_bytes(info[_UNACKED], sys.byteorder)
