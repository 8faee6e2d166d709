"""The port: whether it is free, and keeping it while the model loads."""

from __future__ import annotations

import contextlib
import errno
import socket


class PortTakenError(Exception):
    """Someone else listens on the port."""


def check_free(host: str, port: int) -> None:
    """Make sure that nobody listens on a port.

    Granian listens with SO_REUSEPORT, which would let two servers share a port in silence; so ask without it.
    SO_REUSEADDR leaves out connections that are closed and only linger.

    Raises:
        PortTakenError: Somebody listens there, or the address is not of this machine.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise PortTakenError(f"port {port} on {host} is taken by another process") from exc
            raise PortTakenError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc


def claim(host: str, port: int) -> socket.socket:
    """Hold a port without listening, so that nobody else starts to while a model loads.

    It stands in no one's way who also listens with SO_REUSEPORT, as this server will. Where the system does
    not allow the claim (a connection that lingers), there is none: `check_free` is asked again before listening.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with contextlib.suppress(OSError):
        holder.bind((host, port))
    return holder
