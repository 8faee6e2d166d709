"""A port of this machine that leads to a service's pods through the API server, for whoever has no other way in."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Generator
from typing import Any

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.kubernetes.access import ANSWER_SECONDS, Access
from trainstack.targets.kubernetes.objects import parts
from trainstack.targets.kubernetes.serving import INSTANCE, PORT

_PIECE = 1 << 16


@contextlib.contextmanager
def forwarding(access: Access, name: str, port: int, said: Callable[[str], None]) -> Generator[None]:
    """Lead a port of the loopback to the pods of a service, each connection to one that is ready.

    Args:
        access: The cluster.
        name: What the service's objects are called.
        port: The port of this machine.
        said: Told when a connection cannot be led there.

    Raises:
        InvalidInputError: Somebody else listens on the port.
        TrainstackError: The cluster does not answer, or no pod is ready.
    """
    _ready(access, name)

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                _lead(access, _ready(access, name), self.request)
            except TrainstackError as exc:
                said(str(exc))

    try:
        server = _Server(("127.0.0.1", port), Connection)
    except OSError as exc:
        raise InvalidInputError(f"port {port} is taken: choose another with --port", field="port") from exc
    with server:
        threading.Thread(target=server.serve_forever, daemon=True, name="forward").start()
        try:
            yield
        finally:
            server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


def _ready(access: Access, name: str) -> str:
    """The name of a pod that is ready."""
    with access.errors("looking for the service's pods"):
        answer = access.core.list_namespaced_pod(
            access.namespace,
            label_selector=f"{INSTANCE}={name}",
            _preload_content=False,
            _request_timeout=ANSWER_SECONDS,
        )
    for pod in parts(json.loads(answer.data), "items"):
        conditions = parts(pod, "status", "conditions")
        if not pod["metadata"].get("deletionTimestamp") and any(
            it["type"] == "Ready" and it["status"] == "True" for it in conditions
        ):
            return str(pod["metadata"]["name"])
    raise TrainstackError(f"service {name} has no pod that is ready in namespace {access.namespace}")


def _lead(access: Access, pod: str, near: socket.socket) -> None:
    from kubernetes import client
    from kubernetes import stream as streams

    streaming: Any = streams
    with access.errors(f"forwarding to pod {pod}"):
        call = client.CoreV1Api(access.client()).connect_get_namespaced_pod_portforward
        link: Any = streaming.portforward(call, pod, access.namespace, ports=str(PORT))
    far: socket.socket = link.socket(PORT)
    try:
        threading.Thread(target=_pump, args=(near, far), daemon=True).start()
        _pump(far, near)
    finally:
        with contextlib.suppress(Exception):
            link.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
