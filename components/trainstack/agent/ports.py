"""Free ports of this machine that stay free: none that the kernel hands out to outgoing connections."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from pathlib import Path

from .errors import LaunchError

_FIRST, _LAST = 15000, 30000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def find_free_ports(count: int) -> tuple[int, ...]:
    """Return free TCP ports of this machine, all different.

    TensorFlow's servers listen only after some seconds of imports. In that time any outgoing connection may get a
    port of the kernel's own range; one that waits for such a server may even get connected to itself. So the ports
    lie outside of that range.

    Args:
        count: How many.

    Raises:
        LaunchError: Too few are free.
    """
    candidates = _candidates()
    # Start at a random port, so that runs that start at the same time try different ones.
    first = random.randrange(len(candidates))  # noqa: S311 - no secret
    ports: list[int] = []
    for port in itertools.chain(candidates[first:], candidates[:first]):
        if len(ports) == count:
            break
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))  # TensorFlow's servers listen on all addresses
            ports.append(port)
    if len(ports) == count:
        return tuple(ports)
    raise LaunchError(f"{count} free ports are needed between {_FIRST} and {_LAST}, {len(ports)} are free")


def _candidates() -> range:
    try:
        low, high = map(int, _RANGE.read_text().split())
    except (OSError, ValueError):
        return range(_FIRST, _LAST)
    if low >= _FIRST + 1000:
        return range(_FIRST, min(low, _LAST))
    return range(high + 1, 65536) if high < 64536 else range(_FIRST, _LAST)
