import json
import math

import numpy as np
import pytest

from trainstack.server.codec.prediction_response import to_json
from trainstack.server.http.errors import HttpError


def test_one_output_goes_out_without_its_name():
    outputs = {"y": np.array([[0.1, 9e6], [3e-05, -1]], np.float32)}
    assert json.loads(to_json(outputs, rows=True)) == {"predictions": [[0.1, 9e6], [3e-05, -1.0]]}
    assert json.loads(to_json(outputs, rows=False)) == {"outputs": [[0.1, 9e6], [3e-05, -1.0]]}


def test_several_outputs_are_row_objects_or_one_column_object():
    outputs = {"b": np.array([[1], [2]], np.int64), "a": np.array([True, False])}
    assert to_json(outputs, rows=True) == b'{"predictions":[{"a":true,"b":[1]},{"a":false,"b":[2]}]}'
    assert to_json(outputs, rows=False) == b'{"outputs":{"a":[true,false],"b":[[1],[2]]}}'


def test_decimal_numbers_keep_their_point_and_value():
    values = np.array([3.0, 1 / 3, 1e-30, 16777216, 3.4028235e38], np.float32)
    text = to_json({"y": values}, rows=False)
    assert b"3.0" in text
    np.testing.assert_array_equal(np.array(json.loads(text)["outputs"], np.float32), values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_that_are_not_finite_go_out_as_tokens(dtype: type):
    outputs = {"y": np.array([[math.nan, math.inf], [0.1, -math.inf]], dtype)}
    assert to_json(outputs, rows=True) == b'{"predictions":[[NaN,Infinity],[0.1,-Infinity]]}'
    both = {**outputs, "z": np.array([1, 2])}
    assert to_json(both, rows=True) == (b'{"predictions":[{"y":[NaN,Infinity],"z":1},{"y":[0.1,-Infinity],"z":2}]}')


def test_strings_are_text_or_base64_where_the_name_says_bytes():
    values = np.array([["hé", "a"]], object)
    encoded = np.array([[text.encode() for text in row] for row in values], object)
    assert json.loads(to_json({"s": encoded}, rows=False)) == {"outputs": [["hé", "a"]]}
    binary = {"s_bytes": np.array([b"hello", b"\xff"], object)}
    assert to_json(binary, rows=True) == b'{"predictions":[{"b64":"aGVsbG8="},{"b64":"/w=="}]}'


def test_undecodable_bytes_are_base64_whatever_the_name():
    assert to_json({"s": np.array([b"\xff", b"a"], object)}, rows=True) == b'{"predictions":[{"b64":"/w=="},"a"]}'


@pytest.mark.parametrize("value", [np.array(0.5, np.float32), np.array(0.5)])
def test_a_scalar_has_a_column_form_and_no_row_form(value: np.ndarray):
    assert to_json({"y": np.asarray(value)}, rows=False) == b'{"outputs":0.5}'
    with pytest.raises(HttpError, match="Tensor name: y has no shape information"):
        to_json({"y": np.asarray(value)}, rows=True)


def test_a_scalar_string_and_a_scalar_nan_have_a_column_form():
    assert to_json({"y": np.array(b"a", object)}, rows=False) == b'{"outputs":"a"}'
    assert to_json({"y": np.array(math.nan, np.float32)}, rows=False) == b'{"outputs":NaN}'


def test_outputs_of_differing_batches_have_no_row_form():
    with pytest.raises(HttpError, match="Tensor name: b has inconsistent batch size: 3 expecting: 2"):
        to_json({"a": np.zeros(2), "b": np.zeros(3)}, rows=True)


def test_a_type_without_json_form_is_refused():
    with pytest.raises(HttpError, match="Failed to write JSON value for tensor type"):
        to_json({"y": np.zeros(2, np.complex64)}, rows=True)


def test_decimals_of_16_bits_are_numbers():
    assert to_json({"y": np.array([0.5, np.inf], np.float16)}, rows=True) == b'{"predictions":[0.5,Infinity]}'


def test_empty_and_transposed_tensors_are_written():
    assert to_json({"y": np.zeros((2, 0))}, rows=True) == b'{"predictions":[[],[]]}'
    assert to_json({"y": np.array([[1, 2], [3, 4]]).T}, rows=True) == b'{"predictions":[[1,3],[2,4]]}'
