"""Horovod's own rendezvous server, on a port of the plan and on one address only."""

from __future__ import annotations

import importlib
import socketserver
from typing import Any

from ..coordination.coordinator import listen
from ..errors import LaunchError


def horovod_module(name: str) -> Any:
    """Import a module of Horovod from the training environment, which no type checker here can see.

    Raises:
        LaunchError: Horovod is not in this environment.
    """
    try:
        return importlib.import_module(f"horovod.{name}")
    except ImportError as exc:
        raise LaunchError(f"Horovod is not in this environment ({exc}): add it, or choose another") from exc


def rendezvous_server(host: str, port: int) -> Any:
    """Return Horovod's `RendezvousServer`, through which ranks find each other; its `start` opens it.

    Horovod would listen on any port of all addresses, without authentication: this server listens on `host` alone.

    Args:
        host: Address of this node.
        port: The port.

    Raises:
        LaunchError: Horovod is not in this environment, or the port is taken.
    """
    server = horovod_module("runner.http.http_server")
    listen(host, port).close()  # a taken port is one clear message

    class Http(server.RendezvousHTTPServer):
        request_queue_size = 128  # all ranks connect at once
        daemon_threads = True

        def server_bind(self) -> None:
            """Bind without asking the name service who we are, which can take long."""
            socketserver.TCPServer.server_bind(self)  # pyright: ignore[reportArgumentType]
            self.server_name, self.server_port = host, port

    class Rendezvous(server.RendezvousServer):
        def start(self, handler_cls: Any = server.RendezvousHandler) -> int:
            """Listen and answer in the background."""
            self._httpd = Http((host, port), handler_cls, self._verbose)
            self._listen_thread = server.in_thread(target=self._httpd.serve_forever)
            return port

    return Rendezvous()
