import numpy as np
import pytest

from trainstack.server.codec.tensors import to_array
from trainstack.server.http.errors import HttpError


@pytest.mark.parametrize("dtype", ["float", "double"])
def test_whole_and_decimal_numbers_mix_in_a_decimal_tensor(dtype: str):
    array = to_array([1, 2.0, 5.003, -0.007, 0.0], dtype)
    assert array.dtype == {"float": np.float32, "double": np.float64}[dtype]
    np.testing.assert_array_equal(array, np.array([1, 2.0, 5.003, -0.007, 0.0], array.dtype))


@pytest.mark.parametrize(
    ("dtype", "lowest", "highest"),
    [
        ("int8", -(2**7), 2**7 - 1),
        ("uint8", 0, 2**8 - 1),
        ("int16", -(2**15), 2**15 - 1),
        ("int32", -(2**31), 2**31 - 1),
        ("uint32", 0, 2**32 - 1),
        ("int64", -(2**63), 2**63 - 1),
        ("uint64", 0, 2**64 - 1),
    ],
)
def test_whole_numbers_are_exact_up_to_the_bounds_of_the_type(dtype: str, lowest: int, highest: int):
    array = to_array([[lowest], [highest]], dtype)
    assert array.dtype.name == dtype
    assert array.tolist() == [[lowest], [highest]]
    for beyond in (lowest - 1, highest + 1):
        with pytest.raises(HttpError, match=f"{beyond} Type: Number is not of expected type: {dtype}"):
            to_array([0, beyond], dtype)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.0, "int32"),
        (True, "int32"),
        (True, "float"),
        ([1.0, False], "float"),
        ("1.5", "float"),
        (None, "float"),
        ({"b64": "aGk="}, "float"),
        (1, "bool"),
        (1, "string"),
        (["a", 1], "string"),
    ],
)
def test_a_value_of_another_type_is_refused(value: object, dtype: str):
    with pytest.raises(HttpError, match=f"is not of expected type: {dtype}") as refused:
        to_array(value, dtype)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("value", "dtype", "rounded"),
    [
        (16777217, "float", 16777216.0),
        (1435774380, "float", 1435774336.0),
        (1e39, "float", np.inf),
        (-(10**300), "float", -np.inf),
        (2**53 + 1, "double", 2.0**53),
        (2**70, "double", 2.0**70),
        (65504, "float16", 65504.0),
        (1e6, "float16", np.inf),
    ],
)
def test_a_number_is_rounded_to_what_the_type_has(value: float, dtype: str, rounded: float):
    assert to_array([0.5, value], dtype).tolist() == [0.5, rounded]


def test_large_decimal_numbers_that_fit_are_taken():
    np.testing.assert_array_equal(to_array([16777215, 3e38, -1e20], "float"), np.array([16777215, 3e38, -1e20], "f4"))
    assert to_array([float("nan"), float("inf")], "float").tolist()[1] == float("inf")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([[1, 2], [3]], "unexpected size: 1 at level: 1 expected size: 2"),
        ([[1, 2], 3], "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ([1, [2]], "list at unexpected level: 1 expected < 1"),
        ([[], [1]], "unexpected size: 1 at level: 1 expected size: 0"),
    ],
)
def test_ragged_lists_are_refused(value: object, says: str):
    with pytest.raises(HttpError) as refused:
        to_array(value, "int32")
    assert says in str(refused.value)


def test_lists_nested_deeper_than_any_tensor_are_refused():
    value: object = 1
    for _ in range(40):
        value = [value]
    with pytest.raises(HttpError, match="nested more than 32 deep"):
        to_array(value, "int32")


def test_scalars_and_empty_lists_keep_their_shape():
    assert to_array(5, "int32").shape == ()
    assert to_array("x", "string").shape == ()
    assert to_array([], "float").shape == (0,)
    assert to_array([[], []], "float").shape == (2, 0)
    assert to_array([], "string").shape == (0,)


def test_strings_are_utf8_and_base64_objects_are_their_bytes():
    array = to_array([["hé", {"b64": "/wA="}]], "string")
    assert array.tolist() == [["hé".encode(), b"\xff\x00"]]


@pytest.mark.parametrize("text", ["aGVsbG8=", "aGVsbG8", "aGVs\nbG8="])
def test_base64_may_lack_padding_and_hold_line_breaks(text: str):
    assert to_array({"b64": text}, "string").item() == b"hello"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"b64": "%%%"}, "Unable to base64 decode"),
        ({"b64": "a"}, "Unable to base64 decode"),
        ({"b64": 5}, "not formatted correctly for base64"),
        ({"b64": "aGk=", "more": 1}, "not formatted correctly for base64"),
        ({"other": "aGk="}, "not formatted correctly for base64"),
    ],
)
def test_a_broken_base64_object_is_refused(value: object, says: str):
    with pytest.raises(HttpError, match=says):
        to_array([value], "string")


def test_a_type_without_json_form_is_not_implemented():
    with pytest.raises(HttpError, match="Conversion of JSON Value: 1 to type: half") as refused:
        to_array([1], "half")
    assert refused.value.status == 501
