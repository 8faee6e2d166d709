"""Whether two runtimes of one signature answer alike, and whether its rows may be computed together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..codec.signature import Signature
from ..codec.tensors import Array
from ..http.errors import HttpError
from .generated_inputs import Inputs, filled, is_decimal, is_whole, magnitudes, open_shape, random_inputs

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]

# Relative to the largest number of the answer: single and double precision, summed in another order.
_TOLERANCE = {"f2": 1e-2, "f4": 1e-4, "f8": 1e-9}
# Of numbers of one size, relative to the largest of a column; beside it, what is lost beside the largest of the answer.
_COLUMN_TOLERANCE = {"f2": 5e-2, "f4": 1e-3, "f8": 1e-8}
_LOST = 1e-7
# Numbers that are taken for zero in one sum.
_FLUSHED = 1e6
# Seconds of a call from which on larger steps of magnitude are taken, so that large models are compared within minutes.
_STRIDES = ((0.02, 1), (0.2, 3), (float("inf"), 8))
# Seconds of a call that goes by a number's size, which is not made larger then.
_SLOW = 0.5
# Rows of one size that are also computed alone: all positive, all negative, of random signs.
_SINGLE = 3


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Attributes:
        difference: Why the candidate must not serve; empty when it may.
        overflow: From which size of numbers on the two differ, but only where the reference's answer is not finite;
            None when they never do.
    """

    difference: str = ""
    overflow: float | None = None


def compare(reference: Run, candidate: Run, signature: Signature, samples: list[Inputs]) -> Comparison:
    """Compare two runtimes on samples, on numbers of every size that the types have, and on random inputs.

    Args:
        reference: TensorFlow; what it refuses, the candidate must refuse too.
        candidate: What would serve in its place.
        signature: What both run.
        samples: Inputs to compare on beside those that are made up.
    """
    accepted = 0
    overflow: float | None = None
    for size, inputs in _inputs(reference, signature, samples):
        begun = time.monotonic()
        try:
            expected = reference(inputs)
        except HttpError as error:
            try:
                candidate(inputs)
            except HttpError:
                continue
            return Comparison(f"it answers an input that TensorFlow refuses ({error})")
        if size is not None and time.monotonic() - begun > _SLOW and accepted > 0 and _is_counted(signature):
            return Comparison(f"it takes long for numbers around {size:.0e}, so larger ones cannot be compared")
        try:
            actual = candidate(inputs)
        except HttpError as error:
            return Comparison(f"it refuses an input that TensorFlow answers ({error})")
        accepted += 1
        for name in signature.outputs:
            if size is None:
                difference = _difference(expected[name], actual[name])
            else:
                difference = _sized_difference(expected[name], actual[name])
                if not difference and _is_unlike_beyond(expected[name], actual[name]):
                    overflow = size if overflow is None else min(size, overflow)
            if difference:
                numbers = "" if size is None else f" for numbers around {size:.0e}"
                return Comparison(f"output {name} differs from TensorFlow's{numbers}: {difference}")
    if not accepted:
        return Comparison("TensorFlow refuses every random input: register the model with a sample input")
    return Comparison(overflow=overflow)


def same_when_not_finite(reference: Run, candidate: Run, signature: Signature) -> bool:
    """Whether both answer NaN and infinities alike, where the signature takes decimal numbers."""
    for value in (np.nan, np.inf, -np.inf):
        inputs = {
            name: np.full(open_shape(spec, 2), value if is_decimal(spec) else 0, spec.numpy)
            for name, spec in signature.inputs.items()
        }
        try:
            expected, actual = reference(inputs), candidate(inputs)
        except HttpError:
            return False
        if any(_difference(expected[name], actual[name]) for name in signature.outputs):
            return False
    return True


def rows_are_independent(run: Run, signature: Signature) -> bool:
    """Whether the answer to several rows is that of each row on its own, so that requests can share one call."""
    sides = (*signature.inputs.values(), *signature.outputs.values())
    if not signature.inputs or any(not spec.shape or spec.shape[0] != -1 for spec in sides):
        return False
    if any(-1 in (spec.shape or ())[1:] for spec in signature.inputs.values()):
        return False
    checked = 0
    # Random rows are all different and none is zero: what drops zeros or joins equal rows shows on such rows only.
    alike = (filled(signature, 5, value) for value in (0, 1))
    for inputs in (*random_inputs(signature, rows=(5,)), *alike, _repeated(signature)):
        try:
            together = run(inputs)
            alone = [run({name: tensor[row : row + 1] for name, tensor in inputs.items()}) for row in range(5)]
        except HttpError:
            continue
        for name, whole in together.items():
            pieces = [answer[name] for answer in alone]
            if any(piece.shape[:1] != (1,) for piece in pieces) or _difference(np.concatenate(pieces), whole):
                return False
        checked += 1
    return checked > 0


def _inputs(reference: Run, signature: Signature, samples: list[Inputs]) -> Iterator[tuple[float | None, Inputs]]:
    """What to compare on: each with the size of its numbers, where they are all of one."""
    yield from ((None, sample) for sample in samples)
    yield None, filled(signature, 3)
    if any(is_decimal(spec) for spec in signature.inputs.values()):
        yield None, filled(signature, 3, -0.0)
    for size, inputs in magnitudes(signature, _stride(reference, signature)):
        yield size, inputs
        # One row has an interpreter of its own, which may compute otherwise.
        rows = len(next(iter(inputs.values()))) if signature.is_batched else 0
        for row in range(min(rows, _SINGLE)):
            yield size, {name: tensor[row : row + 1] for name, tensor in inputs.items()}
    yield from ((None, inputs) for inputs in random_inputs(signature))
    batched = [name for name, spec in signature.inputs.items() if spec.shape and spec.shape[0] == -1]
    if len(batched) > 1:
        # Batches that do not fit each other: one may stand for many, or be refused.
        for few, many in ((0, 2), (1, 3), (2, 3)):
            short, long = filled(signature, few, 1), filled(signature, many, 1)
            yield None, {**long, batched[0]: short[batched[0]]}


def _stride(reference: Run, signature: Signature) -> int:
    """The steps of magnitude that there is time for."""
    begun = time.monotonic()
    with contextlib.suppress(HttpError):
        reference(filled(signature, 3))
    seconds = time.monotonic() - begun
    return next(stride for bound, stride in _STRIDES if seconds < bound)


def _is_counted(signature: Signature) -> bool:
    """Whether whole numbers go in, of which some models do something as often as they say."""
    return any(is_whole(spec) for spec in signature.inputs.values())


def _repeated(signature: Signature) -> Inputs:
    """Random rows, of which some come twice."""
    inputs = next(random_inputs(signature, rows=(5,)))
    return {name: tensor[[0, 1, 0, 2, 1]] for name, tensor in inputs.items()}


def _difference(expected: Array, actual: Array) -> str:
    """In what two tensors differ; empty when they are equal within the type's precision."""
    if unlike := _unlike(expected, actual):
        return unlike
    tolerance = _TOLERANCE.get(expected.dtype.str[1:], 0.0)
    if not tolerance:
        return "" if np.array_equal(expected, actual) else "whole numbers are not the same"
    finite = np.isfinite(expected)
    size = float(np.abs(expected[finite]).max()) if finite.any() else 0.0
    if np.allclose(actual, expected, rtol=tolerance, atol=tolerance * size, equal_nan=True):
        return ""
    return _largest(expected, actual)


def _sized_difference(expected: Array, actual: Array) -> str:
    """As `_difference`, of an answer to numbers of one size, column by column; what is not finite is not compared."""
    if unlike := _unlike(expected, actual):
        return unlike
    tolerance = _COLUMN_TOLERANCE.get(expected.dtype.str[1:], 0.0)
    if not tolerance:
        return "" if np.array_equal(expected, actual) else "whole numbers are not the same"
    finite = np.isfinite(expected)
    sizes = np.where(finite, np.abs(expected.astype("f8")), 0.0)
    columns = sizes.max(axis=tuple(range(max(sizes.ndim - 1, 0))), keepdims=True, initial=0.0)
    # TensorFlow takes numbers below the smallest normal one for zero, of which an answer may sum many.
    least = float(np.finfo(expected.dtype).tiny) * _FLUSHED
    allowed = tolerance * np.maximum(sizes, columns) + _LOST * float(sizes.max(initial=0.0)) + least
    with np.errstate(all="ignore"):
        near = np.abs(actual.astype("f8") - expected.astype("f8")) <= allowed
    return "" if (near | ~finite).all() else _largest(expected[finite], actual[finite])


def _is_unlike_beyond(expected: Array, actual: Array) -> bool:
    """Whether what is not finite is otherwise in the two."""
    beyond = ~np.isfinite(expected) if expected.dtype.kind == "f" else np.zeros(expected.shape, np.bool_)
    return not np.array_equal(expected[beyond], actual[beyond], equal_nan=bool(beyond.any()))


def _unlike(expected: Array, actual: Array) -> str:
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return f"{list(actual.shape)} of {actual.dtype}, not {list(expected.shape)} of {expected.dtype}"
    return ""


def _largest(expected: Array, actual: Array) -> str:
    with np.errstate(all="ignore"):
        differences = np.abs(actual.astype("f8") - expected.astype("f8"))
    finite = differences[np.isfinite(differences)]
    return (
        f"by up to {float(finite.max()):.2g}"
        if finite.size == differences.size
        else "it is not finite in one of the two"
    )
