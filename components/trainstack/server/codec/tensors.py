"""JSON values to tensors, by TensorFlow Serving's rules: dense, each value of the declared type."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..http.errors import HttpError
from .json_text import RepeatedNames, kind, shown

Array = NDArray[Any]

_MAX_RANK = 32
_INTEGERS: dict[str, type[np.integer[Any]]] = {
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.int32,
    "uint32": np.uint32,
    "int64": np.int64,
    "uint64": np.uint64,
}
_DECIMALS = {"float": "float32", "double": "float64", "float16": "float16", "bfloat16": "bfloat16"}


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list)


def is_base64(value: Any) -> TypeGuard[dict[str, str]]:
    """Whether a JSON value is a binary string: `{"b64": "…"}` and nothing else."""
    return (
        is_object(value)
        and list(value) == ["b64"]
        and isinstance(value["b64"], str)
        and not isinstance(value, RepeatedNames)
    )


def to_array(value: Any, dtype: str) -> Array:
    """Make a tensor of a nested list or a single value.

    Args:
        value: JSON as parsed.
        dtype: TensorFlow's name of the type that the signature declares.

    Returns:
        A numpy array; strings are an array of `bytes` objects.

    Raises:
        HttpError: The lists are ragged, or a value is not of that type.
    """
    shape = _shape(value)
    leaves: list[Any] = [value]
    for level, size in enumerate(shape):
        _check_lists(leaves, level, size, len(shape))
        leaves = list(chain.from_iterable(leaves))
    if list in set(map(type, leaves)):
        raise HttpError(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    return _converter(dtype, leaves)(leaves, dtype).reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape that the first element at each level announces."""
    sizes: list[int] = []
    while is_list(value):
        if len(sizes) == _MAX_RANK:
            raise HttpError(f"lists are nested more than {_MAX_RANK} deep")
        sizes.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(sizes)


def _check_lists(items: list[Any], level: int, size: int, rank: int) -> None:
    for item in items:
        if not is_list(item):
            raise HttpError(
                f"JSON Value: {shown(item)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        if len(item) != size:
            raise HttpError(f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {size}")


def _converter(dtype: str, leaves: list[Any]) -> Callable[[list[Any], str], Array]:
    if dtype in _DECIMALS:
        return _decimals
    if dtype in _INTEGERS:
        return _integers
    if dtype == "string":
        return _strings
    if dtype == "bool":
        return _bools
    sample = shown(leaves[0]) if leaves else "[]"
    raise HttpError(f"Conversion of JSON Value: {sample} to type: {dtype}", 501)


def _decimals(leaves: list[Any], dtype: str) -> Array:
    _check_types(leaves, {int, float}, dtype)
    with np.errstate(over="ignore"):
        # Rounded to the nearest that the type has; what is beyond its largest is infinite.
        return np.array(leaves, np.float64).astype(_DECIMALS[dtype])


def _integers(leaves: list[Any], dtype: str) -> Array:
    _check_types(leaves, {int}, dtype)
    target = _INTEGERS[dtype]
    bounds = np.iinfo(target)
    if leaves and not (bounds.min <= min(leaves) and max(leaves) <= bounds.max):
        _refuse(next(leaf for leaf in leaves if not bounds.min <= leaf <= bounds.max), dtype)
    return np.array(leaves, target)


def _bools(leaves: list[Any], dtype: str) -> Array:
    _check_types(leaves, {bool}, dtype)
    return np.array(leaves, np.bool_)


def _strings(leaves: list[Any], dtype: str) -> Array:
    _check_types(leaves, {str, dict}, dtype)
    array = np.empty(len(leaves), object)
    for index, leaf in enumerate(leaves):
        array[index] = bytes_of(leaf)
    return array


def bytes_of(leaf: str | dict[str, Any]) -> bytes:
    """The bytes that a JSON string, or a base64 object, stands for.

    Raises:
        HttpError: It stands for none.
    """
    if isinstance(leaf, str):
        try:
            return leaf.encode()
        except UnicodeEncodeError as exc:
            raise HttpError("JSON Parse error: a string holds half of a surrogate pair") from exc
    if not is_base64(leaf):
        raise HttpError(f"JSON Value: {shown(leaf)} not formatted correctly for base64 data")
    # Padding may be left out, white space may be anywhere.
    text = "".join(leaf["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise HttpError("Unable to base64 decode") from exc


def _check_types(leaves: list[Any], allowed: set[type], dtype: str) -> None:
    if not set(map(type, leaves)) <= allowed:
        _refuse(next(leaf for leaf in leaves if type(leaf) not in allowed), dtype)


def _refuse(leaf: Any, dtype: str) -> None:
    raise HttpError(f"JSON Value: {shown(leaf)} Type: {kind(leaf)} is not of expected type: {dtype}")
