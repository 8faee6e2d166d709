"""Two runtimes compared: over all sizes of numbers, alone and in batches, and where answers are not finite."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from trainstack.server.codec.signature import Signature, TensorSpec
from trainstack.server.codec.tensors import Array
from trainstack.server.http.errors import HttpError
from trainstack.server.runtime.comparison import compare, rows_are_independent
from trainstack.server.runtime.generated_inputs import magnitudes

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def signature(dtype: str = "float", shape: tuple[int, ...] = (-1, 3), output: str = "float") -> Signature:
    return Signature("s", {"x": TensorSpec(dtype, shape)}, {"y": TensorSpec(output, shape)})


def computing(function: Callable[[Array], Array]) -> Run:
    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        with np.errstate(all="ignore"):
            return {"y": np.asarray(function(inputs["x"]))}

    return run


same = computing(lambda x: x * np.float32(2))


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        (lambda x: np.where(np.abs(x) > 1e8, x, x * 2), "for numbers around 1e+08"),
        (lambda x: np.where((x != 0) & (np.abs(x) < 1e-20), x * 5, x * 2), "for numbers around 1e-3"),
        (lambda x: x * 3 if len(x) == 1 else x * 2, "differs from TensorFlow's"),
        (lambda x: np.where(np.signbit(x) & (x == 0), np.inf, x * 2), "it is not finite in one of the two"),
        (lambda x: np.where(np.abs(x) > 1e36, np.nan, x * 2), "for numbers around 1e+36"),
    ],
)
def test_a_difference_anywhere_in_the_range_of_the_type_is_noticed(candidate: Callable[[Array], Array], says: str):
    candidate_run = computing(lambda x: candidate(x).astype(np.float32))
    assert says in compare(same, candidate_run, signature(), []).difference


def test_a_small_column_beside_a_large_one_is_compared():
    reference = computing(lambda x: np.stack([x[:, 0], np.sin(x[:, 0])], 1))
    wrong = computing(lambda x: np.stack([x[:, 0], np.sin(x[:, 0]) + x[:, 0] * np.float32(5e-7)], 1))
    assert "for numbers around" in compare(reference, wrong, signature(), []).difference


def test_what_overflows_otherwise_is_told_and_no_difference():
    reference = computing(lambda x: np.where(np.abs(x) > 1e30, np.inf, x))
    candidate = computing(lambda x: np.where(np.abs(x) > 1e30, np.nan, x))
    comparison = compare(reference, candidate, signature(), [])
    assert comparison.difference == ""
    assert comparison.overflow == pytest.approx(1e30)


def test_numbers_that_are_taken_for_zero_are_no_difference():
    flushed = computing(lambda x: np.where(np.abs(x) < 1.2e-38, 0, x) * np.float32(2))
    assert compare(flushed, same, signature(), []).difference == ""


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_whole_numbers_are_compared_up_to_the_largest(dtype: str):
    largest = np.iinfo(dtype).max
    reference = computing(lambda x: x)
    candidate = computing(lambda x: np.where(x > largest // 2 + 1, 0, x).astype(dtype))
    about = signature(dtype, output=dtype)
    assert "whole numbers are not the same" in compare(reference, candidate, about, []).difference
    sizes = np.concatenate([inputs["x"].ravel() for _, inputs in magnitudes(about)])
    assert (sizes.min(), sizes.max()) == (np.iinfo(dtype).min, largest)


def test_indexes_stay_small_while_decimals_grow():
    about = Signature("s", {"x": TensorSpec("float", (-1,)), "i": TensorSpec("int32", (-1,))}, {})
    large = [inputs for size, inputs in magnitudes(about) if size > 1e30]
    assert large
    assert all(np.abs(inputs["i"]).max() <= 1 for inputs in large)


def test_an_input_that_only_one_of_them_refuses_is_a_difference():
    def refuse(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        if np.abs(inputs["x"]).max() > 1e20:
            raise HttpError("too large")
        return same(inputs)

    assert "it refuses an input that TensorFlow answers" in compare(same, refuse, signature(), []).difference
    assert "it answers an input that TensorFlow refuses" in compare(refuse, same, signature(), []).difference


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - x.mean(0, keepdims=True),
        lambda x: np.unique(x, axis=0),
        lambda x: x[x[:, 0] != 0],
    ],
)
def test_rows_that_depend_on_each_other_are_found_to(function: Callable[[Array], Array]):
    assert not rows_are_independent(computing(function), signature())
    assert rows_are_independent(same, signature())
