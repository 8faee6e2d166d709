"""Requests that nobody would send, by hypothesis; `tests.server.fuzzing` does the same with atheris."""

import json

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from tests.server.fuzzing import one_input

numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, -1, 2**24, 2**53, 127, 128]))
leaves = st.one_of(numbers, st.booleans(), st.none(), st.text(max_size=5), st.just({"b64": "aGk="}))
lists = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4), max_leaves=12)
even = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=4)
)
bodies = st.dictionaries(
    st.sampled_from(["instances", "inputs", "signature_name", "examples", "context", "x"]),
    st.one_of(lists, even, st.dictionaries(st.sampled_from(["x", "a", "b"]), lists)),
    max_size=3,
)
tensors = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "a", "b"])},
    optional={
        "shape": st.lists(st.integers(-1, 2**33) | st.integers(0, 4), max_size=4),
        "datatype": st.sampled_from(["FP32", "FP64", "INT8", "INT64", "BYTES", "BOOL", 1]),
        "data": lists,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 2**33) | st.just("x")}),
    },
)
texts = st.one_of(bodies.map(json.dumps), st.lists(tensors, max_size=3).map(lambda one: json.dumps({"inputs": one})))


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A body, with a few bytes of it replaced, cut out or doubled."""
    data = bytearray(draw(texts).encode())
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 5)))
        data[start:end] = draw(
            st.sampled_from([b"", b"[", b"]", b",", b"NaN", b"1e999", b"\xff", b'"', bytes(data[start:end]) * 2])
        )
    return bytes(data)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Requests on one connection, more or less."""
    body = draw(spoilt())
    length = draw(st.sampled_from([str(len(body)), "0", "-1", "99999999999999999999", "x", str(len(body) + 5)]))
    head = draw(
        st.sampled_from(
            [
                b"POST /v1/models/m:predict HTTP/1.1\r\nContent-Length: %b\r\n\r\n",
                b"POST http://h/v2/x?q HTTP/1.0\r\ncontent-length: %b\r\nConnection: keep-alive\r\n\r\n",
                b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: %b\r\n\r\n",
                b"PUT \xff HTTP/1.1\r\nExpect: 100-continue\r\nX: %b\r\n\r\n",
                b"CONNECT h:1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX: %b\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\n%b",
            ]
        )
    )
    return (head % length.encode() + body) * draw(st.integers(1, 3))


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
unhurried = settings(max_examples=400, deadline=None, suppress_health_check=SLOW)


@unhurried
@given(spoilt())
def test_any_body_is_answered_or_refused_alike_by_both_readers(data: bytes):
    one_input(data)


@unhurried
@given(st.one_of(messages(), st.binary(max_size=300)))
def test_any_bytes_over_a_connection_are_answered_or_refused(data: bytes):
    one_input(data)
