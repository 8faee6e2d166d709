"""A door with a lock before a real registry: whoever does not show user name and password gets no further."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Generator

_SAID = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
_REFUSAL = b"\r\n".join(
    [
        b"HTTP/1.1 401 Unauthorized",
        b"WWW-Authenticate: Basic realm=tests",
        b"Docker-Distribution-Api-Version: registry/2.0",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(_SAID),
        b"Connection: close",
        b"",
        _SAID,
    ]
)


@contextlib.contextmanager
def guarded(registry: str, username: str, password: str) -> Generator[str]:
    """Let through to a registry who knows the password.

    Args:
        registry: The registry's address, `HOST:PORT`.
        username: Who may pass.
        password: Their password.

    Yields:
        The address to use in its place.
    """
    wanted = b"basic " + base64.b64encode(f"{username}:{password}".encode()).lower()
    host, _, port = registry.partition(":")
    with socket.create_server(("127.0.0.1", 0)) as door:

        def open_door() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = door.accept()
                    threading.Thread(target=_pass, args=(client, (host, int(port)), wanted), daemon=True).start()

        threading.Thread(target=open_door, daemon=True).start()
        yield f"127.0.0.1:{door.getsockname()[1]}"


def _pass(client: socket.socket, registry: tuple[str, int], wanted: bytes) -> None:
    with client, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := client.recv(65536)):
                return
            head += part
        if b"authorization: " + wanted not in head.partition(b"\r\n\r\n")[0].lower():
            client.sendall(_REFUSAL)
            return
        with socket.create_connection(registry) as server:
            server.sendall(head)
            answers = threading.Thread(target=_copy, args=(server, client), daemon=True)
            answers.start()
            _copy(client, server)
            answers.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
