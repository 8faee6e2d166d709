"""A connection between two agents: one JSON object a line, and heartbeats that reveal a lost machine."""

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

from ..errors import ConnectionLostError
from ..plan import KEY_VARIABLE

BEAT_SECONDS = 2.0
LOST_SECONDS = 30.0
"""Without a heartbeat for this long the connection counts as lost."""
_MAX_MESSAGE_BYTES = 1 << 20


class Channel:
    """One side of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        """Wrap `connection`."""
        self._connection = connection
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(LOST_SECONDS)
        self._incoming = connection.makefile("rb")
        self._sending = threading.Lock()
        self._closed = threading.Event()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; when the other side is gone, `receive` raises."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """Wait for a message that is not a heartbeat.

        Raises:
            ConnectionLostError: The other side is gone.
        """
        while True:
            try:
                line = self._incoming.readline(_MAX_MESSAGE_BYTES)
                message = json.loads(line)
            except (OSError, ValueError) as exc:  # an empty line, at the end, is no JSON either
                raise ConnectionLostError from exc
            if not isinstance(message, dict):
                raise ConnectionLostError
            if message:
                return message  # pyright: ignore[reportUnknownVariableType]

    def start_heartbeat(self) -> None:
        """Send heartbeats from now on, in the background."""
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def close(self) -> None:
        """Close after everything that was sent has arrived."""
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
    """Return a fresh nonce that the other side must sign."""
    return secrets.token_hex(16)


def capability(purpose: str) -> str:
    """Return what shows that somebody has the launch's key, without the key: of no use for anything else.

    Args:
        purpose: What it is for.
    """
    return _signed(f"capability:{purpose}")


def proof(nonce: str, node: int) -> str:
    """Return the signature with which node `node` answers a challenge."""
    return _signed(f"{nonce}:{node}")


def _signed(text: str) -> str:
    key = os.environ.get(KEY_VARIABLE, "")
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
