"""Check that a Docker engine listens at a `DOCKER_HOST`."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

_SECONDS = 1.0
_PORTS = {"tcp": 2375, "http": 2375, "https": 2376}


def reach(address: str) -> str:
    """Connect to a Docker address, for a second at most.

    Args:
        address: In the form of DOCKER_HOST: `unix:///var/run/docker.sock`, `tcp://HOST:PORT`, `ssh://HOST`.

    Returns:
        The problem in a few words; empty when the engine answers, and for addresses that are not checked (`ssh`).
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return f"{address!r} is not an address"
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(parts.path)
        elif parts.scheme in _PORTS and parts.hostname:
            socket.create_connection((parts.hostname, port or _PORTS[parts.scheme]), timeout=_SECONDS).close()
        elif parts.scheme not in ("ssh", "npipe"):
            return f"{address!r} is not a Docker address"
    except OSError as exc:
        return f"but nothing answers at {address} ({exc.strerror or exc})"
    return ""
