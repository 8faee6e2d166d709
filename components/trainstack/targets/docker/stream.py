"""Talk to a container's standard streams over the connection that the engine hands over.

The engine marks each piece of output with its stream and length (Docker Engine API, "Attach to a container"). The SDK
reads these too, but not over ssh, where it asks a pipe for a file number that it has not got.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Any

from trainstack.docker_engine.engine_api import DockerClient

_HEADER = struct.Struct(">BxxxL")
_OUTPUT = 1
_TAIL = 4000


class ContainerOutput:
    """The standard output of a container, as a thing to read from; what it says on standard error is kept apart."""

    def __init__(self, client: DockerClient, container: str) -> None:
        """Attach to `container`, before it starts or while it runs."""
        self._socket = _attached(client, container, {"stdout": 1, "stderr": 1, "stream": 1})
        self._left = 0
        self.errors = b""
        self.heard = time.monotonic()

    def read(self, size: int = -1, /) -> bytes:
        """Wait for some bytes; none when the container has ended or the connection broke."""
        while not self._left:
            header = self._exactly(_HEADER.size)
            if len(header) < _HEADER.size:
                return b""
            kind, length = _HEADER.unpack(header)
            if kind == _OUTPUT:
                self._left = length
            else:
                self.errors = (self.errors + self._exactly(length))[-_TAIL:]
        data = _some(self._socket, min(size, self._left))
        self._left -= len(data)
        self.heard = time.monotonic()
        return data

    def close(self) -> None:
        """Hang up; whoever waits for bytes gets none."""
        with contextlib.suppress(OSError, AttributeError):
            getattr(self._socket, "_sock", self._socket).shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, AttributeError):
            self._socket.close()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and (piece := _some(self._socket, size - len(data))):
            data += piece
        return bytes(data)


class ContainerInput:
    """The standard input of a container. Attach before it starts; closing is its end of file.

    Over ssh closing ends the program that carries the bytes, wherever they are: so close only when they were read.
    """

    def __init__(self, client: DockerClient, container: str) -> None:
        """Attach to `container`."""
        self._socket = _attached(client, container, {"stdin": 1, "stream": 1})

    def write(self, data: bytes) -> None:
        """Write it all."""
        # Under a socket's file-like object, which is made for reading, lies the socket itself.
        getattr(self._socket, "_sock", self._socket).sendall(data)

    def close(self) -> None:
        """Close; a second time does nothing."""
        with contextlib.suppress(OSError, AttributeError):
            self._socket.close()


def _attached(client: DockerClient, container: str, streams: dict[str, int]) -> Any:
    link = client.api.attach_socket(container, params=streams)
    with contextlib.suppress(AttributeError):
        # The SDK's limit on an answer is none on a silence.
        getattr(link, "_sock", link).settimeout(None)
    return link


def _some(link: Any, size: int) -> bytes:
    try:
        data = link.recv(size) if hasattr(link, "recv") else link.read(size)
    except (OSError, ValueError):
        return b""
    return data or b""
