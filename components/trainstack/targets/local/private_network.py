"""A network of a run's own on this machine: a loopback that its processes share, and no way in or out.

TensorFlow's servers listen on all addresses and take orders from whoever reaches them. In a network namespace
(network_namespaces(7)) nobody does. Root makes one; others make it in a user namespace (user_namespaces(7)) in which
they stay who they are, where the machine lets them.

Run as a script, this file tries whether it can be done: nothing of Trainstack may be imported here.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_PROBE_SECONDS = 10
_libc = ctypes.CDLL(None, use_errno=True)


class PrivateNetwork:
    """The namespaces of one run: the first process that enters makes them, the others join it."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._namespaces: list[int] = []

    def enter(self) -> None:
        """Move this process in. Call it between fork and exec: a process with threads cannot enter.

        Raises:
            OSError: The kernel does not allow it.
        """
        for namespace in self._namespaces:
            _call("setns", namespace, 0)
        if not self._namespaces:
            _make()

    def open(self, process: int) -> None:
        """Let others join the process that entered first; told again, of one that joined, this does nothing.

        Args:
            process: Its id.

        Raises:
            OSError: It has ended already.
        """
        if self._namespaces:
            return
        for kind in ("user", "net"):
            path = Path("/proc", str(process), "ns", kind)
            # A process is in its own user namespace already, and may not enter it once more.
            if path.stat().st_ino != Path("/proc/self/ns", kind).stat().st_ino:
                self._namespaces.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        """Nobody joins any more; those that are in stay."""
        for namespace in self._namespaces:
            os.close(namespace)
        self._namespaces.clear()


@functools.cache
def problem() -> str:
    """Why a private network cannot be had on this machine, in a few words; empty where it can."""
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no network namespaces"
    probe = subprocess.run(
        [sys.executable, "-I", "-S", __file__], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
    )
    return "" if probe.returncode == 0 else (probe.stderr.strip() or "no answer").splitlines()[-1]


def _make() -> None:
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWNET) != 0:
        _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


if __name__ == "__main__":
    try:
        PrivateNetwork().enter()
    except OSError as exc:
        sys.exit(f"user namespaces are not allowed here ({exc.filename}: {exc.strerror})")
