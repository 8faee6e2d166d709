from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from trainstack.server.codec.prediction_request import Prediction, read_prediction
from trainstack.server.codec.signature import Signature, TensorSpec
from trainstack.server.http.errors import HttpError

ONE = Signature("serving_default", {"x": TensorSpec("float", (-1, 2))}, {})
TEXT = Signature("serving_default", {"t": TensorSpec("string", None)}, {})
TWO = Signature("serving_default", {"tag": TensorSpec("string", (-1,)), "x": TensorSpec("int32", (-1, -1))}, {})


def read(signature: Signature, body: Mapping[str, Any]) -> Prediction:
    return read_prediction(body, {signature.name: signature, "named": signature})


def refusal(signature: Signature, body: Mapping[str, Any]) -> str:
    with pytest.raises(HttpError) as refused:
        read(signature, body)
    assert refused.value.status == 400
    return str(refused.value)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"instances": [[1, 2], [3, 4]]}, True),
        ({"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}, True),
        ({"inputs": [[1, 2], [3, 4]]}, False),
        ({"inputs": {"x": [[1, 2], [3, 4]]}}, False),
        ({"inputs": {"x": [[1, 2], [3, 4]], "ignored": 1}}, False),
        ({"signature_name": "named", "inputs": [[1, 2], [3, 4]]}, False),
        ({"signature_name": "", "inputs": [[1, 2], [3, 4]]}, False),
    ],
)
def test_one_input_comes_named_or_not_in_rows_or_columns(body: dict[str, Any], rows: bool):
    prediction = read(ONE, body)
    assert prediction.rows is rows
    assert list(prediction.tensors) == ["x"]
    np.testing.assert_array_equal(prediction.tensors["x"], np.array([[1, 2], [3, 4]], np.float32))


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"tag": "a", "x": [1, 2]}, {"x": [3, 4], "tag": "b"}]},
        {"inputs": {"tag": ["a", "b"], "x": [[1, 2], [3, 4]]}},
    ],
)
def test_several_inputs_are_named(body: dict[str, Any]):
    tensors = read(TWO, body).tensors
    assert tensors["tag"].tolist() == [b"a", b"b"]
    assert tensors["x"].tolist() == [[1, 2], [3, 4]]


def test_base64_objects_in_rows_are_values_and_not_named_inputs():
    body = {"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}
    assert read(TEXT, body).tensors["t"].tolist() == [b"hello", b"world"]
    assert read(TEXT, {"inputs": {"b64": "aGVsbG8="}}).tensors["t"].shape == ()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "Not formatted correctly expecting only one of"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": {"x": [1, 2]}}, "'instances' to be an list/array"),
        ({"signature_name": 5, "instances": [[1, 2]]}, "'signature_name' key must be a string value"),
        ({"signature_name": "none", "instances": [[1, 2]]}, '"none" not found in signature def'),
        (
            {"instances": [[1, 2], [3]]},
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2",
        ),
        (
            {"instances": [[1, 2], ["a", "b"]]},
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"a\"",
        ),
        ({"instances": [[1, 2], {"x": [3, 4]}]}, "Expecting value/list but got object at item 1"),
        ({"instances": [{"x": [3, 4]}, [1, 2]]}, "Expecting object but got list at item 1"),
        ({"instances": [{"y": [3, 4]}]}, "keys must be equal to: x"),
        ({"inputs": {"y": [[3, 4]]}}, "Missing named input: x in 'inputs' object."),
        ({"inputs": [[1, 2, 3]]}, "input 'x' has shape [1, 3], but signature 'serving_default' takes [-1, 2]"),
        ({"inputs": [1, 2]}, "input 'x' has shape [2]"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_the_reason(body: dict[str, Any], says: str):
    assert says in refusal(ONE, body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"instances": [[1, 2]]}, "instances is a plain list, but expecting list of objects"),
        ({"inputs": [[1, 2]]}, "inputs is a plain value/list, but expecting an object"),
        ({"instances": [{"tag": "a"}]}, "keys must be equal to: tag,x"),
        (
            {"instances": [{"tag": "a", "x": [1]}, {"tag": "b", "x": [1, 2]}]},
            "element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2",
        ),
    ],
)
def test_several_inputs_are_refused_unnamed_or_incomplete(body: dict[str, Any], says: str):
    assert says in refusal(TWO, body)


def test_a_signature_without_inputs_cannot_be_asked():
    assert "Failed to get input map" in refusal(Signature("serving_default", {}, {}), {"inputs": [1]})
