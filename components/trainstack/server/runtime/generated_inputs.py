"""Inputs made up for a signature: to try it, to warm it up, to compare two runtimes on."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..codec.signature import Signature, TensorSpec
from ..codec.tensors import Array

Inputs = dict[str, Array]

_SEED = 784
# A picture of one pixel: what decodes images takes nothing else.
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# Texts that models take: any, numbers, pictures; the empty one is a `tf.Example` without features.
_TEXTS = (b"", b"a", b"1", _PNG)
# Sizes of dimensions that the signature leaves open beside the batch: what convolves needs some room.
_OPEN_SIZES = (2, 32, 224)
# Ranks to try where even that is open, beyond the batch.
_OPEN_RANKS = (0, 1, 2)
# Powers of ten of the numbers that a float32 has, the subnormal ones too.
_EXPONENTS = range(-45, 39)
# Rows of one size that are computed at once: enough that no column of an answer is small in all of them by chance.
_SIZED_ROWS = 6


def filled(signature: Signature, rows: int, value: Any = 0, text: bytes = b"", *, size: int | None = None) -> Inputs:
    """The same value everywhere.

    Args:
        signature: What the inputs are for.
        rows: Size of the batch.
        value: The number.
        text: The text.
        size: Size of other dimensions that are open; that of the batch when left out.
    """
    return {
        name: np.full(open_shape(spec, rows, size), text if spec.dtype == "string" else value, spec.numpy)
        for name, spec in signature.inputs.items()
    }


def tried(signature: Signature, rows: int) -> Iterator[Inputs]:
    """Inputs of so many rows of which a signature that can be called takes one, if any that are made up."""
    specs = signature.inputs.values()
    sizes = _OPEN_SIZES if any(-1 in (spec.shape or ())[1:] for spec in specs) else _OPEN_SIZES[:1]
    texts = _TEXTS if any(spec.dtype == "string" for spec in specs) else _TEXTS[:1]
    ranks = _OPEN_RANKS if any(spec.shape is None for spec in specs) else _OPEN_RANKS[:1]
    for size in sizes:
        for rank in ranks:
            for text in texts:
                for value in (0, 1):
                    yield {
                        name: np.full(
                            (rows, *(size,) * rank) if spec.shape is None else open_shape(spec, rows, size),
                            text if spec.dtype == "string" else value,
                            spec.numpy,
                        )
                        for name, spec in signature.inputs.items()
                    }


def random_inputs(signature: Signature, rows: tuple[int, ...] = (1, 3, 8)) -> Iterator[Inputs]:
    """Random numbers, small and large ones, of several batches."""
    random = np.random.default_rng(_SEED)
    for count in rows:
        for spread in ("unit", "normal", "wide"):
            yield {name: _random(spec, count, spread, random) for name, spec in signature.inputs.items()}


def magnitudes(signature: Signature, stride: int = 1) -> Iterator[tuple[float, Inputs]]:
    """Numbers from the smallest to the largest that the types have, in steps of magnitude, each with what it holds.

    While one kind of number grows, decimal or whole, the other stays small, so that indexes stay right for tables.
    All numbers of one step are of one size: all positive, all negative, and of random signs.

    Args:
        signature: What the inputs are for.
        stride: Take only each so manieth step.
    """
    random = np.random.default_rng(_SEED)
    specs = signature.inputs.values()
    bits = [np.finfo(spec.numpy).bits for spec in specs if is_decimal(spec)]
    if bits:
        exponents = [*range(-320, -45, 25), *_EXPONENTS, *range(50, 308, 25), 308] if max(bits) > 32 else _EXPONENTS
        for exponent in exponents[::stride]:
            yield from _sized(signature, 10.0**exponent, True, random)
    bounds = [int(np.iinfo(spec.numpy).max) for spec in specs if is_whole(spec)]
    for power in range(1, max(bounds).bit_length() + 1, stride) if bounds else ():
        yield from _sized(signature, float(2**power), False, random)


def _sized(
    signature: Signature, size: float, decimals: bool, random: np.random.Generator
) -> Iterator[tuple[float, Inputs]]:
    signs = (None,) if signature.is_batched else (1, -1, 0)
    for sign in signs:
        yield (
            size,
            {
                name: _of_size(spec, size if is_decimal(spec) is decimals else 1.0, sign, random)
                for name, spec in signature.inputs.items()
            },
        )


def _of_size(spec: TensorSpec, size: float, sign: int | None, random: np.random.Generator) -> Array:
    """Numbers of one size; of one sign, of random ones (0), or of each in some rows (None)."""
    shape = open_shape(spec, _SIZED_ROWS)
    if spec.dtype == "bool":
        return random.integers(0, 2, shape).astype(np.bool_)
    values = np.asarray(size * random.uniform(1, 10 if size != 1.0 else 1.5, shape) * random.choice((-1.0, 1.0), shape))
    if sign is None:
        values[0], values[1] = size, -size
    elif sign:
        values = np.full(shape, sign * size)
    if is_decimal(spec):
        most = float(np.finfo(spec.numpy).max)
        return np.clip(values, -most, most).astype(spec.numpy)
    bounds = np.iinfo(spec.numpy)
    # As Python's own numbers: no decimal has the largest of 64 bits.
    whole = [min(max(int(value), int(bounds.min)), int(bounds.max)) for value in values.ravel().tolist()]
    return np.array(whole, spec.numpy).reshape(shape)


def open_shape(spec: TensorSpec, rows: int, size: int | None = None) -> tuple[int, ...]:
    """A shape that a tensor may have.

    Args:
        spec: The tensor.
        rows: Size of its first dimension, where that is open.
        size: Size of others that are; as the first when left out.
    """
    shape = spec.shape or ()
    others = rows if size is None else size
    return tuple((others if axis else rows) if length < 0 else length for axis, length in enumerate(shape))


def is_decimal(spec: TensorSpec) -> bool:
    """Whether a tensor holds decimal numbers."""
    return spec.dtype in ("float", "double", "float16", "bfloat16")


def is_whole(spec: TensorSpec) -> bool:
    """Whether a tensor holds whole numbers."""
    return spec.numpy.lstrip("u").startswith("int")


def _random(spec: TensorSpec, rows: int, spread: str, random: np.random.Generator) -> Array:
    shape = open_shape(spec, rows)
    if spec.dtype == "bool":
        return random.integers(0, 2, shape).astype(np.bool_)
    if is_decimal(spec):
        values = random.random(shape) if spread == "unit" else random.standard_normal(shape)
        return np.asarray(values * (50 if spread == "wide" else 1)).astype(spec.numpy)
    bounds = np.iinfo(spec.numpy)
    # Whole numbers are often indexes: few are right for any table, others try what happens outside of it.
    low, high = {"unit": (0, 2), "normal": (0, min(64, bounds.max))}.get(
        spread, (max(bounds.min, -(2**40)), min(bounds.max, 2**40))
    )
    return random.integers(low, high, shape, dtype=np.int64).astype(spec.numpy)
