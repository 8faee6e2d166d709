"""The listening socket: whether a port is free, keeping it while the model loads, handing it to the next server."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Generator
from pathlib import Path

_BACKLOG = 2048


class PortTakenError(Exception):
    """Someone else listens on the port."""


def check_free(host: str, port: int) -> None:
    """Make sure that nobody has a port.

    Raises:
        PortTakenError: Somebody has it, or the address is not of this machine.
    """
    hold(host, port).close()


def hold(host: str, port: int) -> socket.socket:
    """Take a port without listening on it, so that no client waits while a model loads.

    Nobody else gets it then, except where connections of an earlier server linger: those are left out, but Linux lets
    two hold such a port that neither listens on. The second then fails to `listen`.

    Raises:
        PortTakenError: Somebody has it, or the address is not of this machine.
    """
    for shared in (False, True):
        holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
            holder.bind((host, port))
        except OSError as exc:
            holder.close()
            if exc.errno != errno.EADDRINUSE:
                raise PortTakenError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
        else:
            holder.setblocking(False)
            return holder
    raise PortTakenError(f"port {port} on {host} is taken by another process")


def listen(holder: socket.socket) -> None:
    """Begin to take connections; once more does nothing.

    Raises:
        PortTakenError: Somebody else began meanwhile.
    """
    try:
        # Its connections may linger when it is gone; then the next server can have the port all the same.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        holder.listen(_BACKLOG)
    except OSError as exc:
        raise PortTakenError(f"the port is taken by another process: {exc.strerror}") from exc


def stop_listening(holder: socket.socket) -> None:
    """Refuse connections from now on, in every process that shares the socket."""
    with contextlib.suppress(OSError):
        holder.shutdown(socket.SHUT_RDWR)
    holder.close()


def offer(path: Path, holder: socket.socket, on_handover: Callable[[], None]) -> None:
    """Give the listening socket to whoever connects to a socket file: the next server of the same service.

    Args:
        path: The socket file; only its owner may connect.
        holder: The listening socket.
        on_handover: Is called when somebody has it and says that it answers.
    """
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _short(path) as address:
            server.bind(address)
    finally:
        os.umask(before)
    server.listen(1)

    def run() -> None:
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(600)
                socket.send_fds(connection, [b"L"], [holder.fileno()])
                if connection.recv(1) == b"A":
                    on_handover()
                    return

    threading.Thread(target=run, name="offer", daemon=True).start()


@contextlib.contextmanager
def _short(path: Path) -> Generator[str]:
    """An address for a socket file whose path is longer than the 107 bytes that an address has."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def take_over(path: Path) -> tuple[socket.socket, Callable[[], None]]:
    """Get the listening socket of a server that runs.

    Returns:
        The socket, and what to call once this server answers on it.

    Raises:
        OSError: There is no such server.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    try:
        with _short(path) as address:
            connection.connect(address)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    except OSError:
        connection.close()
        raise
    if not descriptors:
        connection.close()
        raise ConnectionError(f"no socket came from {path}")

    def answering() -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"A")

    return socket.socket(fileno=descriptors[0]), answering
