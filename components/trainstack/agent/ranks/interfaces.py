"""The network interface that an address belongs to."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct

_SIOCGIFADDR = 0x8915


def interface_of(host: str) -> str | None:
    """Return the name of this machine's interface that has the IPv4 address `host`.

    Args:
        host: An address of this node, or a name for it.

    Returns:
        The name, such as `lo` or `eth0`; None when it is not known.
    """
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return None
    return next((name for _, name in socket.if_nameindex() if _matches(address, _address(name))), None)


def _matches(address: str, candidate: str | None) -> bool:
    loopback = address.startswith("127.") and candidate is not None and candidate.startswith("127.")
    return loopback or address == candidate


def _address(interface: str) -> str | None:
    request = struct.pack("256s", interface.encode()[:15])
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return socket.inet_ntoa(fcntl.ioctl(any_socket.fileno(), _SIOCGIFADDR, request)[20:24])
    return None
