"""Run a program in a container and talk to its standard streams.

The API server carries them in frames of a web socket, the first byte of each saying which it is (`v4.channel.k8s.io`).
There is no half-closing in it: what reads standard input must know by itself when it has all.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.manifest import Manifest

_INPUT, _OUTPUT, _ERRORS, _STATUS = 0, 1, 2, 3
_CONNECT_SECONDS = 20.0
_TAIL = 4000
_PIECE = 1 << 17
_KEEP_ALIVE = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 30,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 10,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 6,
}
"""Seconds, and how often nobody may answer."""


class Exec:
    """A program in a container; as a thing to read from it gives what that writes to its standard output."""

    def __init__(self, api: KubernetesApi, pod: str, container: str, command: list[str]) -> None:
        """Start it.

        Raises:
            TrainstackError: The container is not there, or the cluster refuses or does not answer.
        """
        self._what = f"working in pod {pod}"
        self._api = api
        options = {"container": container, "command": command, "stdin": True, "stdout": True, "stderr": True}
        self._link = web_socket(api, "exec", self._what, pod, **options, tty=False)
        self._pending = b""
        self._ended = False
        self.errors = b""
        self.status: Manifest = {}
        self.last_received = time.monotonic()

    def __enter__(self) -> Exec:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        """Wait for some bytes; none when the program has ended or the connection broke."""
        while not self._pending and not self._ended:
            self._receive()
        data = self._pending if size < 0 else self._pending[:size]
        self._pending = self._pending[len(data) :]
        return data

    def write(self, data: bytes) -> None:
        """Write to its standard input.

        Raises:
            TrainstackError: The connection broke.
        """
        with self._api.errors(self._what):
            for start in range(0, len(data), _PIECE):
                self._link.send_binary(bytes([_INPUT]) + data[start : start + _PIECE])

    def close(self) -> None:
        """Hang up; whoever waits for bytes gets none."""
        hang_up(self._link)

    def error_message(self) -> str:
        """The last line of its standard error, or what the cluster says of its end."""
        lines = self.errors.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else str(self.status.get("message") or "the connection broke")

    def _receive(self) -> None:
        from websocket import ABNF

        try:
            code, data = self._link.recv_data(control_frame=True)
        except Exception:  # noqa: BLE001 (however a connection breaks, it has ended)
            self._ended = True
            return
        if code == ABNF.OPCODE_CLOSE:
            self._ended = True
        if code not in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) or len(data) < 2:
            return
        self.last_received = time.monotonic()
        channel, content = data[0], bytes(data[1:])
        if channel == _OUTPUT:
            self._pending += content
        elif channel == _ERRORS:
            self.errors = (self.errors + content)[-_TAIL:]
        elif channel == _STATUS:
            with contextlib.suppress(ValueError):
                self.status = json.loads(content)


def web_socket(api: KubernetesApi, verb: str, doing: str, pod: str, **options: Any) -> Any:
    """Open a web socket to a pod, through the API server.

    Args:
        api: The cluster.
        verb: `exec` or `portforward`.
        doing: What is being done, for the error.
        pod: The pod.
        options: What the verb takes.

    Raises:
        TrainstackError: The pod is not there, or the cluster refuses or does not answer.
    """
    from kubernetes import client
    from kubernetes import stream as streams

    with api.errors(doing):
        streaming: Any = streams
        call = getattr(client.CoreV1Api(api.client()), f"connect_get_namespaced_pod_{verb}")
        plain = {"_preload_content": False, "binary": True, "_request_timeout": _CONNECT_SECONDS}
        link: Any = streaming.stream(call, pod, api.namespace, **options, **plain).sock
    # Let no machine on the way forget a connection that is silent for long, and notice when one has.
    for option, value in _KEEP_ALIVE.items():
        with contextlib.suppress(AttributeError, OSError):
            link.sock.setsockopt(*option, value)
    return link


def hang_up(link: Any) -> None:
    """End a web socket; whoever waits for what comes of it gets nothing more."""
    with contextlib.suppress(Exception):
        link.sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        link.shutdown()


def script(name: str) -> str:
    """Source of a module of `in_pod`, for an interpreter's `-c`."""
    return (Path(__file__).parents[1] / "in_pod" / f"{name}.py").read_text(encoding="utf-8")


def run(api: KubernetesApi, pod: str, container: str, command: list[str], stdin: Iterable[bytes] = ()) -> str:
    """Run a program to its end.

    Args:
        api: The cluster.
        pod: The pod.
        container: Its container.
        command: Program and arguments.
        stdin: For its standard input.

    Returns:
        What it wrote to its standard output.

    Raises:
        TrainstackError: It ended badly, or the connection broke.
    """
    with Exec(api, pod, container, command) as program:
        for piece in stdin:
            program.write(piece)
        output = bytearray()
        while data := program.read():
            output += data
        if program.status.get("status") != "Success":
            raise TrainstackError(f"kubernetes: working in pod {pod}: {program.error_message()}")
    return output.decode(errors="replace").strip()
