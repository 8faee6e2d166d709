"""What counts as in flight before any worker has seen it."""

import asyncio
import contextlib
import socket
import sys
from typing import Any

import pytest

from trainstack.server.http.connection import Connections
from trainstack.server.http.in_flight import InFlight


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how many connections wait")
def test_connections_that_nobody_has_taken_count():
    async def counted() -> float:
        application: Any = None
        connections = Connections(application, max_body=1, body_timeout=1)
        return InFlight(asyncio.get_running_loop(), connections, listener).mean()

    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener, contextlib.ExitStack() as clients:
        assert asyncio.run(counted()) == 0
        for _ in range(3):
            clients.enter_context(socket.create_connection(listener.getsockname()))
        assert asyncio.run(counted()) == 3
