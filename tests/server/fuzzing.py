"""What a client sends, read by everything that reads it: nothing but an answer or a refusal may come out.

`one_input` is what `test_fuzz` feeds from hypothesis, and atheris when this is run as a script where that is installed:
`python -m tests.server.fuzzing [libFuzzer's options]`.
"""

import asyncio
import contextlib
import sys
import zlib

import numpy as np

from trainstack.server.codec.examples import read_examples
from trainstack.server.codec.inference_tensors import read_inputs
from trainstack.server.codec.json_text import parse_object
from trainstack.server.codec.prediction_request import read_prediction
from trainstack.server.codec.rows import RowDecoder
from trainstack.server.codec.signature import CLASSIFY, DEFAULT, Signature, TensorSpec
from trainstack.server.http.connection import Connection, Connections
from trainstack.server.http.decompress import decompress
from trainstack.server.http.errors import HttpError
from trainstack.server.http.messages import Request, Response

LIMIT = 10_000


def _one(shape: tuple[int, ...], dtype: str) -> Signature:
    return Signature(DEFAULT, {"x": TensorSpec(dtype, shape)}, {"y": TensorSpec("float", (-1,))})


SIGNATURES = [
    _one((-1, 2), "float"),
    _one((-1,), "double"),
    _one((-1, 2, 2, 1), "float"),
    _one((-1, 16), "float"),
    _one((-1, 3), "int8"),
    _one((-1, 2), "int64"),
    Signature(DEFAULT, {"a": TensorSpec("string", (-1,)), "b": TensorSpec("bool", None)}, {}),
    Signature(DEFAULT, {"inputs": TensorSpec("string", (-1,))}, {}, CLASSIFY),
]


class _Transport:
    """Takes what is written, as a connection would."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Echo:
    def admit(self, request: Request) -> int:
        return LIMIT

    def answer(self, request: Request) -> Response:
        assert len(request.body) <= LIMIT
        return Response(request.path.encode("latin-1") + request.query.encode("latin-1"))

    def refuse(self, error: HttpError) -> Response:
        return Response(b"{}", error.status)


def one_input(data: bytes) -> None:
    """Read bytes as every part of the server would."""
    for signature in SIGNATURES:
        _as_prediction(data, signature)
    _as_examples(data)
    for encoding in ("gzip", "deflate"):
        _unpack(data, encoding)
        _unpack(zlib.compress(data), encoding)
    _as_http(data)


def _as_prediction(data: bytes, signature: Signature) -> None:
    exact = None
    with contextlib.suppress(HttpError):
        exact = read_prediction(parse_object(data), {DEFAULT: signature})
    if RowDecoder.fits(signature):
        quick = RowDecoder(signature).decode(data)
        if quick is not None:
            # What is read quickly is what the rules say, to the last bit.
            assert exact is not None, data
            assert quick[1] == exact.rows, data
            np.testing.assert_array_equal(quick[0]["x"], exact.tensors["x"])
            assert quick[0]["x"].dtype == exact.tensors["x"].dtype
    with contextlib.suppress(HttpError):
        inputs = parse_object(data).get("inputs")
        listed = inputs if isinstance(inputs, list) else []
        if listed and all(_is_object(one) and isinstance(one.get("name"), str) for one in listed):
            named = [
                {**one, "parameters": one.get("parameters") if _is_object(one.get("parameters")) else {}}
                for one in listed
            ]
            read_inputs(named, data, len(data) // 2, signature)


def _as_examples(data: bytes) -> None:
    with contextlib.suppress(HttpError):
        question = parse_object(data)
        examples = question.get("examples")
        listed = examples if isinstance(examples, list) else []
        # Without TensorFlow there are no records: only what is refused before one is made can be read here.
        if not any(map(_is_object, [*listed, question.get("context")])):
            read_examples(question, {DEFAULT: SIGNATURES[-1]}, "classify")


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _unpack(data: bytes, encoding: str) -> None:
    with contextlib.suppress(HttpError):
        assert len(decompress(data, encoding, LIMIT)) <= LIMIT


def _as_http(data: bytes) -> None:
    async def feed() -> None:
        connections = Connections(_Echo(), max_body=LIMIT, body_timeout=1)
        for piece in (len(data) or 1, 7):
            connection, transport = Connection(connections), _Transport()
            connection.connection_made(transport)  # pyright: ignore[reportArgumentType]
            for start in range(0, len(data), piece):
                connection.data_received(data[start : start + piece])
            assert not transport.written or transport.written.startswith(b"HTTP/1.1 ")
            connection.connection_lost(None)

    asyncio.run(feed())


if __name__ == "__main__":
    import atheris  # pyright: ignore[reportMissingImports, reportMissingModuleSource]

    atheris.instrument_all()  # pyright: ignore[reportAttributeAccessIssue]
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
