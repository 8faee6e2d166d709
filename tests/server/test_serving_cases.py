"""Cases of TensorFlow Serving's own tests (json_tensor_test.cc), as a table: what is read, and what is refused."""

import gzip
import math

import numpy as np
import pytest

from trainstack.server.codec.json_text import parse_object
from trainstack.server.codec.prediction_request import Prediction, read_prediction
from trainstack.server.codec.signature import DEFAULT, Signature, TensorSpec
from trainstack.server.http.decompress import decompress
from trainstack.server.http.errors import HttpError

LARGEST = repr(float(np.finfo("f8").max))
LEAST = repr(float(np.finfo("f8").tiny))


def read(body: str | bytes, **dtypes: str) -> Prediction:
    inputs = {name: TensorSpec(dtype, None) for name, dtype in sorted(dtypes.items())}
    document = parse_object(body if isinstance(body, bytes) else body.encode())
    return read_prediction(document, {name: Signature(name, inputs, {}) for name in (DEFAULT, "predict_images")})


@pytest.mark.parametrize(
    ("dtype", "body", "values"),
    [
        ("int32", '{"instances": [[1,2],[3,4],[5,6]]}', [[1, 2], [3, 4], [5, 6]]),
        ("int32", '{"signature_name": "predict_images", "instances": [[1,2]]}', [[1, 2]]),
        ("int32", '{"instances":[1], "nested":' + "[" * 500 + "]" * 500 + "}", [1]),
        ("float", '{"instances": [1, 2.0, 3, 5.003, 0.007, 0.0]}', [1, 2, 3, 5.003, 0.007, 0]),
        ("double", '{"instances": [1.0, 2, 0.662, 0, 0.0]}', [1, 2, 0.662, 0, 0]),
        ("float", '{"instances": [1435774380]}', [1435774380]),
        ("float", '{"instances": [1435774380.0]}', [1435774380]),
        ("float", f'{{"instances": [{LARGEST}, -{LARGEST}]}}', [math.inf, -math.inf]),
        ("float", f'{{"instances": [{LEAST}, -{LEAST}]}}', [0.0, -0.0]),
        ("string", '{"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}', [b"hello", b"world"]),
        ("string", '{"instances": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}', [[b"hello"], [b"world"]]),
        ("string", '{"instances": [{"x": [[{"b64": "aGVsbG8="}], [{"b64": "dGY="}]]}]}', [[[b"hello"], [b"tf"]]]),
        ("int32", '{"inputs": {"x": [[[1,2],[3,4],[5,6]]]}}', [[[1, 2], [3, 4], [5, 6]]]),
        ("int32", '{"inputs": [[[1,2],[3,4],[5,6]]]}', [[[1, 2], [3, 4], [5, 6]]]),
        # What the parser takes that it is built on: a byte order mark, text behind, and of equal names the first.
        ("int32", b'\xef\xbb\xbf {"instances": [1]}', [1]),
        ("int32", '{"instances": [1]}X', [1]),
        ("float", '{"instances": [1, NaN]} {', [1, math.nan]),
        ("int32", '{"instances": [1], "instances": [2, 3]}', [1]),
        ("int32", '{"inputs": {"x": [1], "x": [2]}}', [1]),
        ("string", '{"instances": ["\\"instances\\"", "instances"]}', [b'"instances"', b"instances"]),
    ],
)
def test_a_body_is_read_as_tensorflow_serving_reads_it(dtype: str, body: str | bytes, values: object):
    tensor = read(body, x=dtype).tensors["x"]
    expected = np.array(values, object if dtype == "string" else tensor.dtype)
    np.testing.assert_array_equal(tensor, expected)
    if dtype == "float":
        np.testing.assert_array_equal(np.signbit(tensor), np.signbit(expected))


def test_named_inputs_may_come_in_any_order():
    rows = read(
        '{"instances": [{"b": [1, 2], "a": "x", "c": NaN}, {"c": 2.0, "a": "y", "b": [3, 4]}]}',
        a="string", b="int32", c="float",
    )  # fmt: skip
    assert {name: tensor.tolist() for name, tensor in rows.tensors.items() if name != "c"} == {
        "a": [b"x", b"y"],
        "b": [[1, 2], [3, 4]],
    }
    columns = read('{"inputs": {"b": [[1]], "a": ["x", "y"]}}', a="string", b="int32")
    assert {name: tensor.tolist() for name, tensor in columns.tensors.items()} == {"a": [b"x", b"y"], "b": [[1]]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "The document is empty"),
        ('{"signature_name": 5, "instances": [[1,2]]}', "must be a string value"),
        ('{"signature_name":' + "[" * 500 + "]" * 500 + "}", "must be a string value"),
        ('{"instances": [[1,2]], "inputs": [[1,2]]}', "Not formatted correctly"),
        ('{"instances": [[1,2],[3,4],[5,6,7]]}', "Expecting tensor size"),
        ('{"instances": [[1,2],[3,4],[[5,6]]]}', "Expecting shape"),
        ('{"instances": [1, [1]]}', "Expecting shape"),
        ('{"instances": [[1,2],["a", "b"]]}', "not of expected type"),
        ('{"instances": [{"x": 1}, [1]]}', "Expecting object but got list"),
        ('{"instances": [[1], {"x": 1}]}', "Expecting value/list but got object"),
        ('{"instances": [{"x": 1, "x": 2}]}', "keys must be equal to: x"),
        ('{"instances": [1, 1e999]}', "JSON Parse error"),
    ],
)
def test_a_body_is_refused_as_tensorflow_serving_refuses_it(body: str, says: str):
    with pytest.raises(HttpError, match=says) as refused:
        read(body, x="int32")
    assert refused.value.status == 400


def test_a_body_of_several_gzip_members_is_one():
    packed = gzip.compress(b"ab") + gzip.compress(b"c") + bytes(10)
    for encoding in ("gzip", "x-gzip"):
        assert decompress(packed, encoding, 3) == b"abc"
    with pytest.raises(HttpError) as refused:
        decompress(packed, "gzip", 2)
    assert refused.value.status == 413
    with pytest.raises(HttpError, match="is not gzip"):
        decompress(packed + b"{}", "gzip", 3)
