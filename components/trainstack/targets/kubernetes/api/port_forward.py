"""A port of this machine that leads to a service's pods through the API server, for whoever has no other way in.

Bytes come and go in frames of a web socket (`v4.channel.k8s.io`): the first byte of each says whether the rest is data
or what is wrong, and the first frame of either kind has the port alone.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Generator
from typing import Any

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.exec import hang_up, web_socket
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.manifest import parts

_DATA, _ERROR = 0, 1
_PIECE = 1 << 16
# Pods that are tried for one connection: any may go between the question and the call.
_TRIES = 3


@contextlib.contextmanager
def forwarding(
    api: KubernetesApi, name: str, pod_port: int, port: int, progress: Callable[[str], None]
) -> Generator[None]:
    """Lead a port of the loopback to the pods of a service, each connection to one that is ready.

    Args:
        api: The cluster.
        name: What the service's objects are called.
        pod_port: The port of the pods.
        port: The port of this machine.
        progress: Told when a connection cannot be led there.

    Raises:
        InvalidInputError: Somebody else listens on the port.
        TrainstackError: The cluster does not answer, or no pod is ready.
    """
    _ready(api, name)
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise InvalidInputError(f"port {port} is taken: choose another with --port", field="port") from exc
        reason = os.strerror(exc.errno) if exc.errno else str(exc)
        raise InvalidInputError(
            f"port {port} cannot be had ({reason}): choose another with --port", field="port"
        ) from exc
    forward = Forward(api, name, pod_port, listening, progress)
    try:
        yield
    finally:
        forward.close()


class Forward:
    """Leads the connections to a port of this machine to the pods of a Deployment, until it is closed."""

    def __init__(
        self, api: KubernetesApi, name: str, pod_port: int, listening: socket.socket, progress: Callable[[str], None]
    ) -> None:
        """Begin; pods may come and go.

        Args:
            api: The cluster.
            name: What the Deployment is called.
            pod_port: The pods' port.
            listening: The port of this machine, listened to; closed with this.
            progress: Told when a connection cannot be led there.
        """
        turn = itertools.count()

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    _lead(_connected(api, name, pod_port, next(turn)), self.request, progress)
                except TrainstackError as exc:
                    progress(str(exc))

        self._server = _Server(listening.getsockname(), Connection, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listening
        threading.Thread(target=self._server.serve_forever, daemon=True, name="forward").start()

    def close(self) -> None:
        """Lead nobody there any more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def _ready(api: KubernetesApi, name: str) -> list[str]:
    """The names of the pods that are ready and stay, as far as is known."""
    with api.errors(f"looking for the pods of {name}"):
        answer = api.core.list_namespaced_pod(
            api.namespace,
            label_selector=f"{INSTANCE}={name}",
            _preload_content=False,
            _request_timeout=ANSWER_SECONDS,
        )
    names = [
        str(pod["metadata"]["name"])
        for pod in parts(json.loads(answer.data), "items")
        if not pod["metadata"].get("deletionTimestamp")
        and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in parts(pod, "status", "conditions")
        )
    ]
    if not names:
        raise TrainstackError(f"{name} has no pod that is ready in namespace {api.namespace}")
    return names


def _connected(api: KubernetesApi, name: str, pod_port: int, turn: int) -> Any:
    """A web socket to one of the pods, each connection to the next."""
    attempt = 0
    while True:
        ready = _ready(api, name)
        pod = ready[(turn + attempt) % len(ready)]
        try:
            return web_socket(api, "portforward", f"forwarding to pod {pod}", pod, ports=str(pod_port))
        except TrainstackError:
            # Nothing was sent yet, so nothing is lost by another try.
            attempt += 1
            if attempt == _TRIES:
                raise


def _lead(link: Any, near: socket.socket, progress: Callable[[str], None]) -> None:
    """Carry bytes both ways until one side ends."""
    threading.Thread(target=_send, args=(near, link), daemon=True).start()
    try:
        _receive(link, near, progress)
    finally:
        hang_up(link)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)


def _send(near: socket.socket, link: Any) -> None:
    # However either connection ends, the other does too.
    with contextlib.suppress(Exception):
        while data := near.recv(_PIECE):
            link.send_binary(bytes([_DATA]) + data)
    hang_up(link)


def _receive(link: Any, near: socket.socket, progress: Callable[[str], None]) -> None:
    from websocket import ABNF

    begun = set[int]()
    with contextlib.suppress(Exception):
        while True:
            code, frame = link.recv_data(control_frame=True)
            if code == ABNF.OPCODE_CLOSE:
                return
            if code != ABNF.OPCODE_BINARY or not frame:
                continue
            channel, content = frame[0], bytes(frame[1:])
            if channel not in begun:
                begun.add(channel)
            elif channel == _DATA:
                near.sendall(content)
            elif channel == _ERROR:
                progress(" ".join(content.decode(errors="replace").split()))
                return
