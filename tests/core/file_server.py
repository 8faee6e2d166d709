"""A web server that serves files as real ones do, and misbehaves on demand. Used by the tests of downloads."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file and how the server treats it.

    Attributes:
        content: Its bytes.
        etag: Whether an ETag is sent: "strong", "weak" or "".
        dated: Whether Last-Modified is sent.
        ranges: Whether Range is honoured.
        sized: Whether Content-Length is sent.
        head: Whether HEAD is allowed.
        failures: Status codes to answer with first, one a request.
        retry_after: Sent with failures.
        break_after: Bytes after which the connection breaks, one number a request.
        seconds_between: Pause after each 64 KiB.
        redirect: Where to send the client.
        headers: Sent with the file.
    """

    content: bytes
    etag: str = "strong"
    dated: bool = True
    modified: float = 1_700_000_000
    ranges: bool = True
    sized: bool = True
    head: bool = True
    failures: list[int] = field(default_factory=list)
    retry_after: str = ""
    break_after: list[int] = field(default_factory=list)
    seconds_between: float = 0.0
    redirect: str = ""
    user: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        quoted = f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'
        return f"W/{quoted}" if self.etag == "weak" else quoted


@dataclass
class Request:
    """What a client asked, and what it got. Noted before the answer, so that the client's test can rely on it."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0


class FileServer:
    """Serves `files` (path to `Served`) and keeps `requests`."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def add(self, path: str, content: bytes, **how: object) -> str:
        self.files[path] = Served(content, **how)  # type: ignore[arg-type]
        return self.url(path)

    def asked(self, path: str = "", method: str = "") -> list[Request]:
        return [it for it in self.requests if path in ("", it.path) and method in ("", it.method)]

    @property
    def sent(self) -> int:
        return sum(request.sent for request in self.requests)

    def forget(self) -> None:
        self.requests.clear()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                with server._lock:
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                try:
                    self._answer()
                finally:
                    with server._lock:
                        server.at_once -= 1

            do_HEAD = do_GET

            def _answer(self) -> None:
                path = self.path.lstrip("/").partition("?")[0]
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.noted = Request(self.command, path, headers)
                server.requests.append(self.noted)
                served = server.files.get(path)
                try:
                    if served is None:
                        self._bare(404)
                    elif self.command == "HEAD" and not served.head:
                        self._bare(405)
                    elif served.failures:
                        self._bare(served.failures.pop(0), served.retry_after)
                    elif served.user and self.headers.get("Authorization") != served.user:
                        self._bare(401)
                    elif served.redirect:
                        self._start(302)
                        self.send_header("Location", served.redirect)
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                    else:
                        body = self._head(served)
                        if self.command == "GET":
                            self._body(served, body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _start(self, status: int) -> None:
                self.noted.status = status
                self.send_response(status)

            def _bare(self, status: int, retry_after: str = "") -> None:
                self._start(status)
                if retry_after:
                    self.send_header("Retry-After", retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _head(self, served: Served) -> bytes:
                date = email.utils.formatdate(served.modified, usegmt=True)
                if self._unchanged(served, date):
                    status, body = 304, b""
                else:
                    status, body = 200, served.content
                    start = self._range(served, date)
                    if start is not None:
                        status, body = (206, served.content[start:]) if start < len(served.content) else (416, b"")
                self._start(status)
                if served.etag:
                    self.send_header("ETag", served.tag)
                if served.dated:
                    self.send_header("Last-Modified", date)
                if status == 206:
                    size = len(served.content)
                    self.send_header("Content-Range", f"bytes {size - len(body)}-{size - 1}/{size}")
                for name, value in served.headers.items():
                    self.send_header(name, value)
                if served.sized:
                    self.send_header("Content-Length", str(len(body)))
                else:
                    self.close_connection = True
                self.end_headers()
                return body

            def _unchanged(self, served: Served, date: str) -> bool:
                match = self.headers.get("If-None-Match")
                if match is not None and served.etag:
                    return match.removeprefix("W/") == served.tag.removeprefix("W/")
                return served.dated and self.headers.get("If-Modified-Since") == date

            def _range(self, served: Served, date: str) -> int | None:
                asked = self.headers.get("Range")
                condition = self.headers.get("If-Range")
                valid = {served.tag} if served.etag == "strong" else set()
                if served.dated:
                    valid.add(date)
                if not asked or not served.ranges or (condition is not None and condition not in valid):
                    return None
                return int(asked.removeprefix("bytes=").rstrip("-"))

            def _body(self, served: Served, body: bytes) -> None:
                end = served.break_after.pop(0) if served.break_after else len(body)
                sent = 0
                while sent < min(end, len(body)):
                    chunk = body[sent : min(sent + 65536, end)]
                    sent += len(chunk)
                    self.noted.sent = sent
                    self.wfile.write(chunk)
                    if served.seconds_between and sent < len(body):
                        time.sleep(served.seconds_between)
                if end < len(body):
                    self.wfile.flush()
                    self.close_connection = True

        return Handler


@contextlib.contextmanager
def file_server() -> Iterator[FileServer]:
    """A running server."""
    server = FileServer()
    try:
        yield server
    finally:
        server.close()
