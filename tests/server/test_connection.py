"""HTTP/1.1 on a connection, without a socket."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from trainstack.server.http.connection import Connection, Connections
from trainstack.server.http.errors import HttpError
from trainstack.server.http.messages import Headers, Request, Response


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.ended = self.paused = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.closed = True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Application:
    """Answers with what was asked; later when the path says so."""

    def admit(self, request: Request) -> int:
        return 100

    def answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        headers = Headers({"x-path": request.path, **({"x-query": request.query} if request.query else {})})
        response = Response(request.body, headers=headers)
        return self._later(response) if request.path.startswith("/later") else response

    def refuse(self, error: HttpError) -> Response:
        return Response(str(error).encode(), error.status)

    async def _later(self, response: Response) -> Response:
        await asyncio.sleep(0.01)
        return response


def talk(*pieces: bytes, draining: bool = False, wait: float = 0.0) -> Transport:
    transport = Transport()

    async def run() -> None:
        connections = Connections(Application(), max_body=100, body_timeout=1)
        connections.draining = draining
        connection = Connection(connections)
        connection.connection_made(transport)
        for piece in pieces:
            connection.data_received(piece)
        await asyncio.sleep(wait)

    asyncio.run(run())
    return transport


def post(path: str, body: bytes = b"", more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def paths(transport: Transport) -> list[bytes]:
    return [line[8:] for line in transport.written.split(b"\r\n") if line.startswith(b"x-path: ")]


@pytest.mark.parametrize("url", [b"/a/b?x=1&y=%20", b"http://example.org/a/b?x=1&y=%20"])
def test_the_query_arrives_beside_the_path(url: bytes) -> None:
    transport = talk(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % url)
    assert b"x-path: /a/b\r\nx-query: x=1&y=%20\r\n" in bytes(transport.written)


def test_a_request_in_pieces_is_one_request():
    whole = post("/a?query", b"hello")
    transport = talk(*(whole[at : at + 1] for at in range(len(whole))))
    assert transport.written.startswith(b"HTTP/1.1 200 OK\r\nx-path: /a\r\nx-query: query\r\ncontent-length: 5\r\n")
    assert transport.written.endswith(b"\r\n\r\nhello")
    assert not transport.closed


def test_requests_sent_ahead_are_answered_in_their_order():
    transport = talk(post("/later/1") + post("/2") + post("/later/3") + post("/4"), wait=0.2)
    assert paths(transport) == [b"/later/1", b"/2", b"/later/3", b"/4"]


def test_a_client_that_sends_far_ahead_is_not_read_from():
    assert talk(post("/later") + post("/next") * 20).paused
    assert not talk(post("/later") + post("/next") * 20, wait=0.2).paused


@pytest.mark.parametrize("more", ["Connection: close\r\n", ""])
def test_a_connection_ends_when_either_side_wants_it_to(more: str):
    transport = talk(post("/a", more=more), draining=not more)
    assert b"connection: close\r\n" in transport.written
    assert transport.closed


def test_an_answer_to_head_has_no_body():
    transport = talk(b"HEAD /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
    assert b"content-length: 2\r\n" in transport.written
    assert transport.written.endswith(b"\r\n\r\n")


def test_who_offers_another_protocol_is_answered_in_this_one():
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    transport = talk(post("/a", b"hi", offer), post("/b"))
    assert paths(transport) == [b"/a", b"/b"]


def test_who_expects_to_be_told_to_go_on_is_told():
    transport = talk(post("/a", b"hi", "Expect: 100-continue\r\n"))
    assert transport.written.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101, 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ended(sent: bytes, status: int):
    transport = talk(sent)
    last = transport.written.rpartition(b"HTTP/1.1 ")[2]
    assert last.startswith(b"%d " % status)
    assert transport.ended or transport.closed
