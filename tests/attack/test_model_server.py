"""Clients without a key, slow clients, web pages and malformed requests against a real model server."""

import contextlib
import gzip
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.attack.neighbour import listens_on_loopback_alone
from tests.server.served import Served, workers
from tests.waiting import until

pytestmark = pytest.mark.tensorflow
KEY = "the-owners-key"
PREDICT = "/v1/models/zoo:predict"
BODY = json.dumps({"instances": [[1, 2, 3, 4]]}).encode()
MIB = 2**20
HELD = 32 * MIB
TIMEOUT = 2


@pytest.fixture(scope="module")
def locked(serving_python, dense, tmp_path_factory) -> Iterator[Served]:
    """A server that asks for a key."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "key").write_text(KEY)
    server = Served(serving_python, dense, folder / "log.txt", "--key-file", str(folder / "key"))
    yield server.ready()
    server.end()


@pytest.fixture(scope="module")
def unlocked(serving_python, dense, tmp_path_factory) -> Iterator[Served]:
    """A server without a key, with little patience and memory."""
    limits = ["--body-timeout", str(TIMEOUT), "--max-held", str(HELD), "--max-connections", "100"]
    names = ["--allowed-host", "models.example.com"]
    server = Served(serving_python, dense, tmp_path_factory.mktemp("open") / "log.txt", *limits, *names)
    yield server.ready()
    server.end()


@contextlib.contextmanager
def connection(server: Served, *sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        for data in sent:
            made.sendall(data)
        yield made


def head(*fields: str, method: str = "POST", path: str = PREDICT) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def read(made: socket.socket) -> bytes:
    """All that comes until the server closes."""
    content = b""
    with contextlib.suppress(ConnectionError):
        while data := made.recv(65536):
            content += data
    return content


def memory(server: Served) -> int:
    """Bytes that the worker has in memory."""
    [worker] = workers(server.process.pid)
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * resource.getpagesize()


def answers(server: Served) -> bool:
    client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=5)
    with client:
        return client.post(PREDICT, content=BODY, headers={"x-api-key": KEY}).status_code == 200


def test_a_neighbour_on_the_network_does_not_reach_it_unless_that_is_asked_for(locked):
    assert listens_on_loopback_alone(locked.port)


def test_nobody_without_the_key_gets_to_send_a_body(locked):
    for fields in ([], ["Authorization: Bearer guessed"], ["X-API-Key: guessed"]):
        for length in ("Content-Length: 60000000", "Transfer-Encoding: chunked"):
            with connection(locked, head(*fields, length)) as made:
                status = read(made).split()[1]
            assert status == (b"403" if fields else b"401")
    with connection(locked, head("Content-Length: 60000000", "Expect: 100-continue")) as made:
        assert read(made).startswith(b"HTTP/1.1 401 ")


def test_memory_stays_flat_under_connections_without_a_key(locked):
    def push() -> None:
        block = bytes(MIB)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with contextlib.suppress(OSError), connection(locked, head(f"Content-Length: {64 * MIB}")) as made:
                for _ in range(64):
                    made.sendall(block)

    assert answers(locked)
    before = memory(locked)
    threads = [threading.Thread(target=push) for _ in range(40)]
    for thread in threads:
        thread.start()
    peak = 0
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, memory(locked))
        time.sleep(0.05)
    assert peak - before < 48 * MIB
    assert answers(locked)


def test_a_trailer_of_a_body_is_no_header(locked):
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
    for trailer in (f"Authorization: Bearer {KEY}", f"X-API-Key: {KEY}"):
        request = head("Transfer-Encoding: chunked", "Connection: close") + chunks + f"{trailer}\r\n\r\n".encode()
        with connection(locked, request) as made:
            assert read(made).startswith(b"HTTP/1.1 401 ")
    # Neither is one that would have the body read in another way.
    request = head("Transfer-Encoding: chunked", f"X-API-Key: {KEY}", "Connection: close")
    with connection(locked, request + chunks + b"Content-Encoding: gzip\r\nHost: evil.example\r\n\r\n") as made:
        assert read(made).startswith(b"HTTP/1.1 200 ")


def test_all_requests_together_hold_no_more_than_they_may(unlocked):
    before = memory(unlocked)
    body = bytes(8 * MIB)
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(connection(unlocked)) for _ in range(20)]

        def send(one: socket.socket) -> None:
            with contextlib.suppress(OSError):
                one.sendall(head(f"Content-Length: {len(body) + 1}") + body)

        threads = [threading.Thread(target=send, args=[one]) for one in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memory(unlocked) - before < HELD + 32 * MIB
        statuses = [read(one).split()[1] for one in made]
    # Some may wait for the rest of their body; none of them comes in time.
    assert set(statuses) == {b"429", b"408"}
    assert answers(unlocked)


def test_packed_bodies_hold_no_more_than_they_may_unpacked(unlocked):
    before = memory(unlocked)
    bomb = gzip.compress(b'{"instances": [' + b" " * (20 * MIB))
    peak = 0
    with contextlib.ExitStack() as stack:
        request = head(f"Content-Length: {len(bomb)}", "Content-Encoding: gzip", "Connection: close") + bomb
        made = [stack.enter_context(connection(unlocked, request)) for _ in range(30)]
        statuses = []
        for one in made:
            statuses.append(read(one).split()[1])
            peak = max(peak, memory(unlocked))
    assert set(statuses) <= {b"400", b"429"}
    # One is read at a time, which takes several times its size; nothing of those that were refused stays.
    assert peak - before < HELD + 80 * MIB
    too_large = gzip.compress(bytes(65 * MIB))
    request = head(f"Content-Length: {len(too_large)}", "Content-Encoding: gzip", "Connection: close") + too_large
    with connection(unlocked, request) as one:
        assert read(one).startswith(b"HTTP/1.1 413 ")
    assert answers(unlocked)


def test_a_client_that_reads_nothing_is_ended(unlocked):
    before = memory(unlocked)
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect(("127.0.0.1", unlocked.port))
        made.settimeout(0.2)
        request = head(method="GET", path="/openapi.json")
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(100_000):
                made.sendall(request * 100)
        assert memory(unlocked) - before < 16 * MIB
        until(lambda: _is_ended(made), 10 * TIMEOUT)
    assert answers(unlocked)


def _is_ended(made: socket.socket) -> bool:
    # An end that is no reset waits behind what was not read.
    state = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 1


@pytest.mark.parametrize("slow", [b"GET / HT", head("Content-Length: 100") + b"{", b""])
def test_slow_clients_keep_nobody_out(slow, unlocked):
    with contextlib.ExitStack() as stack:
        # More than the server has connections for.
        for _ in range(300):
            stack.enter_context(connection(unlocked, slow))
        began = time.monotonic()
        assert answers(unlocked)
        assert time.monotonic() - began < TIMEOUT + 3


def test_two_thousand_slow_clients_keep_nobody_out(locked):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("2,000 connections take as many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    try:
        with contextlib.ExitStack() as stack:
            for number in range(2000):
                stack.enter_context(connection(locked, b"GET /%d HTTP/1.1\r\nX-" % number))
            assert answers(locked)
            assert answers(locked)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 4", "Content-Length: 5"],
        ["Content-Length: 4, 5"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length: -1"],
    ],
)
def test_a_body_of_two_lengths_hides_no_second_request(fields, unlocked):
    hidden = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connection(unlocked, head(*fields) + hidden) as made:
        content = read(made)
    assert content.startswith(b"HTTP/1.1 400 ")
    assert content.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", [PREDICT, "/", "/healthz", "/v2"])
def test_a_web_page_cannot_use_a_service_without_a_key(path, unlocked):
    def status(**headers: str) -> int:
        method, content = ("POST", BODY) if path == PREDICT else ("GET", None)
        return unlocked.client.request(method, path, headers=headers, content=content).status_code

    own = f"127.0.0.1:{unlocked.port}"
    names = ("localhost", "[::1]:80", "service", "service.team.svc", "models.example.com", "Models.Example.COM.")
    for host in (own, *names):
        assert status(host=host) == 200, host
    # DNS rebinding: the page's own name leads to this machine.
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "models.example.com.evil.example"):
        assert status(host=host) == 403, host
    # A request across sites, as a form sends one.
    for origin in ("https://evil.example", "http://127.0.0.1:9", "null", "http://localhost"):
        assert status(host=own, origin=origin) == 403, origin
    assert status(host=own, origin=f"http://{own}") == 200
    assert status(host=own, origin="https://models.example.com") == 200
