"""The tensors that a signature gave, as JSON in the form of the question."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

from ..http.errors import HttpError
from .tensors import Array

_TYPES = frozenset(
    np.dtype(name).type
    for name in (
        "f4",
        "f8",
        "i1",
        "u1",
        "i2",
        "u2",
        "i4",
        "u4",
        "i8",
        "u8",
        "?",
    )
)
_HALVES = frozenset({"float16", "bfloat16"})
_TOKENS = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}


def to_json(outputs: Mapping[str, Array], *, rows: bool) -> bytes:
    """Write an answer.

    Args:
        outputs: Output name to tensor.
        rows: Row form (`predictions`, a list with one entry a row), else column form (`outputs`).

    Raises:
        HttpError: The tensors have no such form: no batch dimension, differing batches, a type without JSON.
    """
    if len(outputs) == 1:
        tensor = next(iter(outputs.values()))
        # The usual answer: one tensor of finite numbers.
        if tensor.ndim and tensor.dtype == np.float32 and np.isfinite(np.vdot(tensor, tensor)):
            written = orjson.dumps(np.ascontiguousarray(tensor), option=orjson.OPT_SERIALIZE_NUMPY)
            return (b'{"predictions":' if rows else b'{"outputs":') + written + b"}"
    values = {name: _writable(name, outputs[name]) for name in sorted(outputs)}
    if rows:
        key, value = "predictions", _as_rows(values)
    else:
        key = "outputs"
        value = values if len(values) > 1 else next(iter(values.values()))
    return orjson.dumps({key: value}, option=orjson.OPT_SERIALIZE_NUMPY)


def _as_rows(values: dict[str, Any]) -> Any:
    sizes: dict[str, int] = {}
    for name, value in values.items():
        if not isinstance(value, np.ndarray | list):
            raise HttpError(f"Tensor name: {name} has no shape information ")
        sizes[name] = len(value)  # pyright: ignore[reportUnknownArgumentType]
        first = next(iter(sizes.values()))
        if sizes[name] != first:
            raise HttpError(f"Tensor name: {name} has inconsistent batch size: {sizes[name]} expecting: {first}")
    if len(values) == 1:
        return next(iter(values.values()))
    count = next(iter(sizes.values()))
    return [{name: value[row] for name, value in values.items()} for row in range(count)]


def _writable(name: str, tensor: Array) -> Any:
    """What orjson can write: an array; for strings, scalars and values without a JSON number, lists of them."""
    if tensor.dtype.kind in "OS":
        return _nested(tensor, lambda value: _text(name, value))
    tensor = widened(tensor)
    if tensor.dtype.type not in _TYPES:
        raise HttpError(f"Failed to write JSON value for tensor type: {tensor.dtype.name}")
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        return _nested(tensor, number_fragment)
    return np.ascontiguousarray(tensor) if tensor.ndim else tensor[()]


def widened(tensor: Array) -> Array:
    """A tensor of 16 bit decimals as one of 32 bit, which has a JSON form; any other as it is."""
    return tensor.astype(np.float32) if tensor.dtype.name in _HALVES else tensor


def number_fragment(value: Any) -> Any:
    """A decimal number as orjson can write it, also one that JSON does not have."""
    return value if np.isfinite(value) else orjson.Fragment(_TOKENS[str(value)])


def _nested(tensor: Array, write: Callable[[Any], Any]) -> Any:
    flat = np.empty(tensor.size, object)
    for index, value in enumerate(tensor.ravel()):
        flat[index] = write(value)
    return flat.reshape(tensor.shape).tolist()


def _text(name: str, value: bytes) -> str | dict[str, str]:
    if not name.endswith("_bytes"):
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode()
    return {"b64": base64.b64encode(value).decode()}
