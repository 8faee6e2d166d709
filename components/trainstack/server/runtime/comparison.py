"""Whether two runtimes of one signature answer alike, and whether its rows may be computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ..codec.signature import Signature, TensorSpec
from ..codec.tensors import Array
from ..http.errors import HttpError

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
Inputs = dict[str, Array]

# Relative to the largest number of the answer: single and double precision, summed in another order.
_TOLERANCE = {"f2": 1e-2, "f4": 1e-4, "f8": 1e-9}
_SEED = 784


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
    for inputs in (*samples, *_random_inputs(signature)):
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
            name: np.full(_shape(spec, 2), value if _is_decimal(spec) else 0, spec.numpy)
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
    for inputs in _random_inputs(signature, rows=(5,)):
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


def _random_inputs(signature: Signature, rows: tuple[int, ...] = (1, 3, 8)) -> Iterator[Inputs]:
    random = np.random.default_rng(_SEED)
    for count in rows:
        for spread in ("unit", "normal", "wide"):
            yield {name: _random(spec, count, spread, random) for name, spec in signature.inputs.items()}


def _random(spec: TensorSpec, rows: int, spread: str, random: np.random.Generator) -> Array:
    shape = _shape(spec, rows)
    if spec.dtype == "bool":
        return random.integers(0, 2, shape).astype(np.bool_)
    if _is_decimal(spec):
        values = random.random(shape) if spread == "unit" else random.standard_normal(shape)
        return np.asarray(values * (50 if spread == "wide" else 1)).astype(spec.numpy)
    bounds = np.iinfo(spec.numpy)
    # Whole numbers are often indexes: few are right for any table, others try what happens outside of it.
    low, high = {"unit": (0, 2), "normal": (0, min(64, bounds.max))}.get(
        spread, (max(bounds.min, -(2**40)), min(bounds.max, 2**40))
    )
    return random.integers(low, high, shape, dtype=np.int64).astype(spec.numpy)


def _shape(spec: TensorSpec, rows: int) -> tuple[int, ...]:
    return tuple(rows if size < 0 else size for size in spec.shape or ())


def _is_decimal(spec: TensorSpec) -> bool:
    return spec.dtype in ("float", "double", "half")


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
