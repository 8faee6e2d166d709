"""An HTTP proxy before an S3 server that does to chosen requests what bad servers and networks do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import S3Store

_OF_CONNECTION = ("transfer-encoding", "connection")


@dataclass
class Request:
    """A request that the proxy has seen."""

    method: str
    path: str
    headers: dict[str, str]


class Fault:
    """What happens to one request; passed on as it is when nothing else is said."""

    def __init__(
        self,
        *,
        status: int = 0,
        code: str = "",
        reset: str = "",
        hang: bool = False,
        unconditional: bool = False,
        body: bytes | None = None,
    ) -> None:
        """Choose.

        Args:
            status: Answered in place of the server, with `code` as S3's error.
            code: S3's name of the error.
            reset: When the connection is cut: `before` the request reaches the server, `after` it was carried out,
                or in the middle of the `body` of the answer.
            hang: Never answer.
            unconditional: Write whatever the request's conditions are, as a server does that ignores them.
            body: Answered with 200 in place of what the server has.
        """
        self.status, self.code, self.reset, self.hang = status, code, reset, hang
        self.unconditional, self.body = unconditional, body


class FaultyProxy:
    """The proxy; `fault` decides for each request, None passes it on."""

    def __init__(self, server: str) -> None:
        """Begin to stand before a server.

        Args:
            server: Its address.
        """
        self.server = server
        self.fault: Callable[[Request], Fault | None] = lambda _: None
        self.requests: list[Request] = []
        self.ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def first(self, count: int, fault: Fault, method: str = "") -> None:
        """Do something to the first requests of a method, then to none."""
        left = [count]

        def decide(request: Request) -> Fault | None:
            if (not method or request.method == method) and left[0] > 0:
                left[0] -= 1
                return fault
            return None

        self.fault = decide

    def always(self, fault: Fault, method: str = "") -> None:
        """Do something to every request of a method."""
        self.fault = lambda request: fault if not method or request.method == method else None

    def close(self) -> None:
        """End the proxy and what hangs in it."""
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers)
            proxy.requests.append(request)
            fault = proxy.fault(request) or Fault()
            if fault.hang:
                proxy.ending.wait()
            if fault.hang or fault.reset == "before":
                return self._cut()
            if fault.status:
                text = f"<Error><Code>{fault.code}</Code><Message>injected</Message></Error>".encode()
                return self._answer(fault.status, {}, text)
            if fault.unconditional and self.command == "PUT":
                return self._answer(200, {"etag": _written(proxy.server, request, body)}, b"")
            status, answered, content = _passed_on(proxy.server, request, body)
            if fault.body is not None:
                content = fault.body
            if fault.reset == "after":
                return self._cut()
            return self._answer(status, answered, content, cut=fault.reset == "body")

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request

        def _answer(self, status: int, headers: dict[str, str], body: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            length = headers.get("content-length") if self.command == "HEAD" else str(len(body))
            for name, value in {**headers, "content-length": length or "0"}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self._cut()

        def _cut(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            # Closed with a reset, not an end: what was not read yet is lost.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR) if not self.wfile.closed else None

    return Handler


def _written(address: str, request: Request, body: bytes) -> str:
    """Write an object as the proxy itself: the client's signature covers its conditions."""
    bucket, _, key = unquote(request.path).removeprefix("/").partition("/")
    store = S3Store(bucket, endpoint=address, client_options={"allow_http": True})
    return str(obstore.put(store, key, body)["e_tag"])


def _passed_on(address: str, request: Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
    server = urlsplit(address)
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=60)
    try:
        # The signature covers the Host header, so it stays that of the proxy.
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name != "connection":
                connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, {name: headers[name] for name in headers if name not in _OF_CONNECTION}, content
    finally:
        connection.close()
