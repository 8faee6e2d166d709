"""Whether two runtimes of one signature answer alike, and whether its rows may be computed together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..codec.signature import Signature
from ..codec.tensors import Array
from ..http.errors import HttpError
from .generated_inputs import Inputs, filled, is_decimal, open_shape, random_inputs

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]

# Relative to the largest number of the answer: single and double precision, summed in another order.
_TOLERANCE = {"f2": 1e-2, "f4": 1e-4, "f8": 1e-9}


def unequal(reference: Run, candidate: Run, signature: Signature, samples: list[Inputs]) -> str:
    """Compare two runtimes on samples and on random inputs.

    Args:
        reference: TensorFlow; what it refuses, the candidate must refuse too.
        candidate: What would serve in its place.
        signature: What both run.
        samples: Inputs to compare on beside random ones.

    Returns:
        Why the candidate must not serve; empty when it may.
    """
    accepted = 0
    for inputs in (*samples, *random_inputs(signature)):
        try:
            expected = reference(inputs)
        except HttpError as error:
            try:
                candidate(inputs)
            except HttpError:
                continue
            return f"it answers an input that TensorFlow refuses ({error})"
        try:
            actual = candidate(inputs)
        except HttpError as error:
            return f"it refuses an input that TensorFlow answers ({error})"
        for name in signature.outputs:
            if difference := _difference(expected[name], actual[name]):
                return f"output {name} differs from TensorFlow's: {difference}"
        accepted += 1
    return "" if accepted else "TensorFlow refuses every random input: register the model with a sample input"


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


def _repeated(signature: Signature) -> Inputs:
    """Random rows, of which some come twice."""
    inputs = next(random_inputs(signature, rows=(5,)))
    return {name: tensor[[0, 1, 0, 2, 1]] for name, tensor in inputs.items()}


def _difference(expected: Array, actual: Array) -> str:
    """In what two tensors differ; empty when they are equal within the type's precision."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return f"{list(actual.shape)} of {actual.dtype}, not {list(expected.shape)} of {expected.dtype}"
    tolerance = _TOLERANCE.get(expected.dtype.str[1:], 0.0)
    if not tolerance:
        return "" if np.array_equal(expected, actual) else "whole numbers are not the same"
    finite = np.isfinite(expected)
    size = float(np.abs(expected[finite]).max()) if finite.any() else 0.0
    if np.allclose(actual, expected, rtol=tolerance, atol=tolerance * size, equal_nan=True):
        return ""
    with np.errstate(all="ignore"):
        return f"by up to {float(np.nanmax(np.abs(actual.astype('f8') - expected.astype('f8')))):.2g}"
