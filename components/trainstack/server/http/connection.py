"""HTTP/1.1 on one connection: httptools parses, this keeps order, limits and time.

An answer that is there at once is written without a task, without a thread and without a trip through the event loop:
that is most of what a small model's answer would cost otherwise.
"""

from __future__ import annotations

import asyncio
import fcntl
import http
import termios
import time
from collections import deque
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any, Protocol

import httptools

from .decompress import too_large
from .errors import HttpError
from .memory_budget import MemoryBudget
from .messages import Request, Response

_MAX_HEAD = 64 * 1024
# The slowest that a client may read an answer, in bytes a second, over the time that it has.
_SLOWEST_READER = 1024
# The share of all connections that makes room for new ones at once.
_EVICTED_SHARE = 16
# Requests that a client may send ahead of their answers before it is no longer read from.
_MAX_AHEAD = 16
# Seconds for which a refused client's bytes are swallowed, so that it gets to read why.
_LINGER = 2.0
_PHRASES = {
    status: f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n".encode() for status in map(int, http.HTTPStatus)
}


class Application(Protocol):
    """What answers requests."""

    def admit(self, request: Request) -> int:
        """Look at the head of a request with a body, before the body comes.

        Returns:
            The most bytes that the body may have.

        Raises:
            HttpError: It is refused; its body is not read.
        """
        ...

    def answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        """Answer now, or later; never raises."""
        ...

    def refuse(self, error: HttpError) -> Response:
        """The answer to what is no request."""
        ...


class Connections:
    """All connections of a worker, and what they share.

    Args:
        application: What answers.
        max_body: The most bytes that a body may have.
        body_timeout: Seconds that a request may take to arrive.
        idle_timeout: Seconds after which a connection that asks nothing is closed.
        budget: What counts the bytes of all requests; four of the largest bodies when left out.
        max_open: The most connections.
    """

    def __init__(
        self,
        application: Application,
        *,
        max_body: int,
        body_timeout: float,
        idle_timeout: float = 75.0,
        budget: MemoryBudget | None = None,
        max_open: int = 4096,
    ) -> None:
        self.application = application
        self.max_body = max_body
        self.budget = budget or MemoryBudget(4 * max_body)
        self.open: set[Connection] = set()
        self.draining = False
        self.date = b""
        self._body_timeout = body_timeout
        self._idle_timeout = idle_timeout
        self._max_open = max_open
        self._changed: Callable[[int], None] = lambda count: None

    def on_change(self, changed: Callable[[int], None]) -> None:
        """Tell somebody how many there are, whenever that changes."""
        self._changed = changed

    def add(self, connection: Connection) -> None:
        """Note a connection that was made."""
        self.open.add(connection)
        self._changed(len(self.open))

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.open.discard(connection)
        self._changed(len(self.open))

    def has_room(self, coming: int) -> bool:
        """Whether one more may come, beside those that are coming already.

        Where there are too many, those go that have been without an answer for longest, and have not sent the head of
        a request: whoever opens connections to hold them loses them to whoever asks for something.
        """
        if len(self.open) + coming < self._max_open:
            return True
        waiting = sorted((c for c in self.open if c.is_waiting), key=lambda connection: connection.last)
        for connection in waiting[: max(1, self._max_open // _EVICTED_SHARE)]:
            connection.abort()
        return bool(waiting)

    def tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look after all of them, now and from now on: one timer for all instead of one a request."""
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        now = time.perf_counter()
        for connection in list(self.open):
            connection.look_after(now, self._body_timeout, self._idle_timeout)
        loop.call_later(0.5, self.tick, loop)

    def close_idle(self) -> None:
        """Close what asks nothing; the others close after their answer, for `draining` says so."""
        self.draining = True
        for connection in list(self.open):
            connection.close_if_idle()


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        connections: The worker's.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._application = connections.application
        self._budget = connections.budget
        # uvloop's transports are not asyncio's by class, only by what they do.
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        # The request whose head has come, and of its body what has come and how much may.
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._limit = 0
        self._head = 0
        # When the request began that is coming in; zero between requests.
        self._begun = 0.0
        # When it was made, or last answered.
        self.last = time.perf_counter()
        # Bytes written, and of which of them the client had taken how many when.
        self._written = 0
        self._unsent: tuple[float, int, int] | None = None
        self._ahead: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        # Nothing more is read: it was no request, or the client has ended.
        self._refused = False
        self._ended = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; what nobody waits for any more is not computed."""
        self._connections.discard(self)
        self._forget()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads slowly: take nothing more from it."""
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        self._paused = False
        self._go_on()

    def abort(self) -> None:
        """End at once; what is not sent yet is lost."""
        self._transport.abort()

    @property
    def is_waiting(self) -> bool:
        """Whether it has asked for nothing yet, or nothing since its last answer."""
        return self._request is None and self._task is None and not self._ahead and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._refused:
            return
        if not self._begun:
            self._begun = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._parser.get_method() == b"CONNECT":
                self._refuse(HttpError("this server is no proxy"))
                return
            # Whoever offers another protocol is answered in this one: the same request, without the offer.
            head = self._head_without_offer()
            self._parser = httptools.HttpRequestParser(self)
            self.data_received(head + data[upgrade.args[0] :])
        except httptools.HttpParserError as exc:
            cause = exc.__context__
            self._refuse(cause if isinstance(cause, HttpError) else HttpError("this is not HTTP/1.1"))

    def eof_received(self) -> bool:
        """A client that has sent all it will still gets its answers."""
        self._ended = True
        return self._task is not None or bool(self._ahead)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._body = b"", {}, []
        self._size = self._head = self._limit = 0

    def on_url(self, url: bytes) -> None:
        """A piece of its address."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self._count_head(len(name) + len(value))
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """All of its headers: whoever is not let in need not send a body."""
        path, _, query = self._url.partition(b"?")
        if not path.startswith(b"/"):
            # The whole address, as proxies get it.
            url = httptools.parse_url(self._url)
            path, query = url.path or b"/", url.query or b""
        method = self._parser.get_method().decode("latin-1")
        headers = self._headers
        request = Request(method, path.decode("latin-1"), headers, b"", self._begun, query.decode("latin-1"))
        self._request = request
        # What comes after a chunked body has the form of headers, and is none.
        self._headers = {}
        declared = headers.get(b"content-length")
        if declared == b"0" or (declared is None and b"transfer-encoding" not in headers):
            return
        self._limit = min(self._application.admit(request), self._connections.max_body)
        if declared is not None and int(declared) > self._limit:
            raise too_large(self._limit)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        size = len(body)
        self._size += size
        if self._size > self._limit:
            raise too_large(self._limit)
        if self._request is not None:
            self._budget.take(self._request, size)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """All of it: answer it, once those before it are answered."""
        request = self._request
        if request is None or self._parser.should_upgrade():
            # Only its head was read, for the parser takes it that another protocol follows: `data_received` goes on.
            return
        if self._body:
            request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body = []
        self._request = None
        self._begun = 0.0
        keep = self._parser.should_keep_alive()
        if self._task is not None or self._paused:
            self._ahead.append((request, keep))
            if len(self._ahead) > _MAX_AHEAD:
                self._transport.pause_reading()
            return
        self._serve(request, keep)

    def look_after(self, now: float, body_timeout: float, idle_timeout: float) -> None:
        """Give up a request that does not arrive, an answer that is not read, and a connection that is not used."""
        if self._is_stuck(now, body_timeout):
            self.abort()
            return
        if self._task is not None:
            return
        if self._refused:
            if now - self.last > _LINGER:
                self._transport.close()
        elif self._begun:
            if now - self._begun > body_timeout:
                self._refuse(HttpError(f"the request's body did not arrive within {body_timeout:g} s", 408))
        elif now - self.last > idle_timeout:
            self._transport.close()

    def under_way(self) -> int:
        """Requests that came, or begin to, and are not answered yet; also what the kernel has and was not read yet."""
        if self._transport.is_closing():
            return 0
        waiting = bool(self._begun) or _has_unread(self._transport.get_extra_info("socket").fileno())
        return (self._task is not None) + len(self._ahead) + waiting

    def close_if_idle(self) -> None:
        """Close, unless a request is coming in or being answered."""
        if self._task is None and not self._ahead and not self._begun:
            self._transport.close()

    def _is_stuck(self, now: float, patience: float) -> bool:
        """Whether the client takes nothing of what is written to it, or almost nothing."""
        unsent = self._transport.get_write_buffer_size()
        if not unsent:
            self._unsent = None
            return False
        taken = self._written - unsent
        if self._unsent is None:
            self._unsent = now, taken, unsent
            return False
        since, taken_then, unsent_then = self._unsent
        if now - since < patience:
            return False
        self._unsent = now, taken, unsent
        return taken - taken_then < min(unsent_then, _SLOWEST_READER * patience)

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self._parser.get_method(), self._url)]
        offers = (b"upgrade", b"connection", b"http2-settings")
        headers = {} if self._request is None else self._request.headers
        lines += [b"%b: %b" % header for header in headers.items() if header[0] not in offers]
        return b"\r\n".join([*lines, b"\r\n"])

    def _count_head(self, size: int) -> None:
        self._head += size
        if self._head > _MAX_HEAD:
            raise HttpError(f"the request's head is larger than {_MAX_HEAD} bytes", 431)

    def _serve(self, request: Request, keep: bool) -> None:
        response = self._application.answer(request)
        if isinstance(response, Response):
            self._write(response, request, keep)
        else:
            self._task = asyncio.get_running_loop().create_task(self._serve_later(response, request, keep))

    async def _serve_later(self, later: Coroutine[Any, Any, Response], request: Request, keep: bool) -> None:
        try:
            response = await later
        finally:
            self._task = None
            self._budget.release(request)
        if self._transport.is_closing():
            return
        self._write(response, request, keep)
        self._go_on()

    def _go_on(self) -> None:
        """Answer what was sent ahead, while the client reads; then read more."""
        while self._ahead and self._task is None and not self._paused and not self._transport.is_closing():
            self._serve(*self._ahead.popleft())
        if not self._paused and len(self._ahead) <= _MAX_AHEAD and not self._transport.is_closing():
            self._transport.resume_reading()

    def _send(self, data: bytes) -> None:
        self._written += len(data)
        self._transport.write(data)

    def _write(self, response: Response, request: Request, keep: bool) -> None:
        if request.held:
            self._budget.release(request)
        keep = keep and not (self._connections.draining or self._refused or self._ended)
        self._send(
            b"%b%bcontent-length: %d\r\n%b%b\r\n%b"
            % (
                _PHRASES[response.status],
                response.headers.encoded,
                len(response.body),
                self._connections.date,
                b"" if keep else b"connection: close\r\n",
                b"" if request.method == "HEAD" else response.body,
            )
        )
        self.last = time.perf_counter()
        if keep:
            return
        self._forget()
        if self._refused and self._transport.can_write_eof():
            # What the client still sends must not make the kernel throw away the answer.
            self._transport.write_eof()
        else:
            self._transport.close()

    def _refuse(self, error: HttpError) -> None:
        """Say what is wrong with what is no request, then close the connection."""
        if self._refused:
            return
        self._refused = True
        self._forget()
        if self._task is None:
            empty = Request("", "", {}, b"", self._begun)
            self._write(self._application.refuse(error), empty, keep=False)

    def _forget(self) -> None:
        """Drop what was not answered yet and never will be."""
        for request, _ in self._ahead:
            self._budget.release(request)
        self._ahead.clear()
        self._body = []
        if self._request is not None:
            self._budget.release(self._request)
            self._request = None


def _has_unread(descriptor: int) -> bool:
    """Whether bytes have come for a socket that nobody has read."""
    return any(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
