"""Horovod's own rendezvous server, on a port of the plan, on one address, and for this launch's ranks alone.

Horovod's clients send no credentials, those in C++ cannot be taught to. But they put the address before the path of
each request, so an address that goes on with a path has them send it: what it begins with shows that they have it from
us.
"""

from __future__ import annotations

import hmac
import importlib
import socketserver
from collections.abc import Callable
from typing import Any

from ..coordination.channel import capability
from ..coordination.coordinator import listen
from ..errors import LaunchError

_PURPOSE = "horovod rendezvous"


def horovod_module(name: str) -> Any:
    """Import a module of Horovod from the training environment, which no type checker here can see.

    Raises:
        LaunchError: Horovod is not in this environment.
    """
    try:
        return importlib.import_module(f"horovod.{name}")
    except ImportError as exc:
        raise LaunchError(f"Horovod is not in this environment ({exc}): add it, or choose another") from exc


def rendezvous_address(host: str, port: int) -> str:
    """Return the address for `HOROVOD_GLOO_RENDEZVOUS_ADDR`.

    Horovod appends `:` and the port that it gets besides, which so becomes the end of the path's first part.
    """
    return f"{host}:{port}/{capability(_PURPOSE)}"


def rendezvous_server(host: str, port: int) -> Any:
    """Return Horovod's `RendezvousServer`, through which ranks find each other; its `start` opens it.

    Horovod would listen on any port of all addresses, and answer anybody: this server listens on `host` alone, and
    answers requests to `rendezvous_address`.

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
            self._httpd = Http((host, port), _guarded(handler_cls, capability(_PURPOSE)), self._verbose)
            self._listen_thread = server.in_thread(target=self._httpd.serve_forever)
            return port

    return Rendezvous()


def _guarded(handler_cls: Any, expected: str) -> Any:
    """Return a handler that answers only requests whose path begins with the capability."""
    parse_request: Callable[[Any], bool] = handler_cls.parse_request

    class Guarded(handler_cls):
        def parse_request(self) -> bool:
            """Read a request's head; nothing of its body is read before this has let it in."""
            if not parse_request(self):
                return False
            first, _, rest = self.path.removeprefix("/").partition("/")
            if not hmac.compare_digest(first.partition(":")[0].encode(), expected.encode()):
                self.close_connection = True
                self.send_error(403)
                return False
            self.path = f"/{rest}"
            return True

    return Guarded
