"""What a neighbour on the network could reach of this machine."""

import socket
from pathlib import Path


def own_addresses() -> set[str]:
    """This machine's addresses, by which its network knows it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return {"127.0.0.1"}
        return {"127.0.0.1", probe.getsockname()[0]}


def reached(address: str, port: int) -> bool:
    """Whether something answers at an address."""
    with socket.socket() as attempt:
        attempt.settimeout(5)
        return attempt.connect_ex((address, port)) == 0


def listens_on_loopback_alone(port: int) -> bool:
    """Whether what listens on a port does so for this machine only, as the kernel tells it."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/net", name).read_text().splitlines()[1:]]
    addresses = {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    assert addresses, "nothing listens there"
    return addresses == {"0100007F"}
