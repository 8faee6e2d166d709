"""Taking connections in several workers from one listening socket, each its share.

The kernel wakes every worker for a new connection, and the first takes all that wait. So the workers tell each other
how many they have, and one that has more than another lets that one go first, for a few milliseconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Callable, MutableSequence
from socket import IPPROTO_TCP, TCP_NODELAY, socket

from .certificate import Certificate

_log = logging.getLogger("trainstack.server")
_PATIENCE = 0.002
_TURNS = 3
# Seconds until a worker with as many connections as it may have looks for room again.
_FULL_PAUSE = 0.05
# Seconds in which a client has to have agreed on TLS.
_HANDSHAKE_SECONDS = 10.0


class Acceptor:
    """Takes connections for one worker.

    Args:
        listener: The listening socket, which all workers share.
        make: Makes a protocol for each connection.
        certificate: The certificate to speak TLS with; None for plain HTTP.
        counts: Connections of each worker, in memory that all of them share.
        index: This worker's place in it.
        has_room: Whether one more may be taken, beside so many that are not made yet.
    """

    def __init__(
        self,
        listener: socket,
        make: Callable[[], asyncio.Protocol],
        certificate: Certificate | None,
        counts: MutableSequence[int],
        index: int,
        has_room: Callable[[int], bool],
    ) -> None:
        self._listener = listener
        self._make = make
        self._certificate = certificate
        self._counts = counts
        self._index = index
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._waited = 0
        self._open = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop.add_reader(listener, self._ready)

    def note(self, count: int) -> None:
        """Tell the others how many connections this worker has."""
        self._counts[self._index] = count

    def close(self) -> None:
        """Take no more; what waits is left to whoever else has the socket."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._listener)

    def _ready(self) -> None:
        fewest = min(self._counts)
        if self._counts[self._index] > fewest and self._waited < _TURNS:
            self._waited += 1
            self._pause(_PATIENCE)
            return
        self._waited = 0
        if not self._has_room(len(self._tasks)):
            self._pause(_FULL_PAUSE)
            return
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as exc:
            if exc.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                _log.error("cannot take connections: %s", exc.strerror)
                self.close()
                return
            _log.error("a connection waits: %s", exc.strerror)
            self._pause(0.1)
            return
        connection.setblocking(False)
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._counts[self._index] += 1
        task = self._loop.create_task(self._connect(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._loop.add_reader(self._listener, self._ready)

    async def _connect(self, connection: socket) -> None:
        try:
            tls = None if self._certificate is None else self._certificate.context
            patience = None if tls is None else _HANDSHAKE_SECONDS
            await self._loop.connect_accepted_socket(self._make, connection, ssl=tls, ssl_handshake_timeout=patience)
        except (OSError, ssl.SSLError):
            # A client that does not speak TLS, or is gone already.
            connection.close()
            self._counts[self._index] -= 1
