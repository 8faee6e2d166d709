"""A connection between two agents: JSON objects, one a line, with heartbeats so that a lost machine shows."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import socket
import threading
from typing import Any

KEY_VARIABLE = "TRAINSTACK_LAUNCH_KEY"
"""Secret that all agents of a run share, where others can reach their network; without it none is asked."""
BEAT_SECONDS = 2.0
LOST_SECONDS = 30.0
"""After this long without a heartbeat the other side counts as lost."""
_LONGEST_MESSAGE = 1 << 20


class Lost(Exception):
    """The other side has closed the connection, or has not been heard of for too long."""


class Link:
    """One side of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over `connection`."""
        self._connection = connection
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(LOST_SECONDS)
        self._incoming = connection.makefile("rb")
        self._sending = threading.Lock()
        self._closed = threading.Event()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; when the other side is gone, `receive` will say so."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """Wait for a message that is not a heartbeat.

        Raises:
            Lost: There will be none.
        """
        while True:
            try:
                line = self._incoming.readline(_LONGEST_MESSAGE)
                message = json.loads(line)
            except (OSError, ValueError) as exc:  # an empty line, at the end, is no JSON either
                raise Lost from exc
            if not isinstance(message, dict):
                raise Lost
            if message:
                return message  # pyright: ignore[reportUnknownVariableType]

    def beat(self) -> None:
        """Send heartbeats from now on, in the background."""
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def close(self) -> None:
        """Say goodbye; what was sent still arrives."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Close at once."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_SECONDS):
            self.send({})


def challenge() -> str:
    """Return a fresh value that the other side must sign."""
    return secrets.token_hex(16)


def proof(nonce: str, node: int) -> str:
    """Return the signature with which node number `node` answers a challenge."""
    key = os.environ.get(KEY_VARIABLE, "")
    return hmac.new(key.encode(), f"{nonce}:{node}".encode(), hashlib.sha256).hexdigest()
