"""The usual `:predict` body straight into a tensor: one input of numbers, with simdjson, without a Python number.

What is not exactly that (a token, another shape, a second key) is not judged here:
`decode` gives None, and `prediction_request` reads the body with all of TensorFlow Serving's rules and messages.
"""

from __future__ import annotations

import math

import numpy as np
import simdjson

from .signature import DEFAULT, Signature
from .tensors import Array

_DECIMALS = frozenset({"float", "double"})
_INTEGERS = frozenset({"int8", "uint8", "int16", "int32", "uint32", "int64"})
# From so many numbers a row on, asking simdjson for each row's length is quicker than reading the text once more.
_WIDE = 16
_LIST = ord("[")
_NUMBERS = b"0123456789.eE+- \t\r\n"


class RowDecoder:
    """Reads bodies for one signature; not for two threads at once.

    Args:
        signature: The signature that bodies are read for when they name none.
    """

    def __init__(self, signature: Signature) -> None:
        name, spec = next(iter(signature.inputs.items()))
        self._name = name
        self._row = (spec.shape or ())[1:]
        self._width = math.prod(self._row)
        self._dtype = np.dtype(spec.numpy)
        self._is_decimal = spec.dtype in _DECIMALS
        self._skeleton = _nested(self._row)
        self._parser = simdjson.Parser()

    @staticmethod
    def fits(signature: Signature) -> bool:
        """Whether bodies of a signature can be read so."""
        if signature.name != DEFAULT or len(signature.inputs) != 1:
            return False
        spec = next(iter(signature.inputs.values()))
        shape = spec.shape or ()
        return shape[:1] == (-1,) and -1 not in shape[1:] and 0 not in shape and spec.dtype in _INTEGERS | _DECIMALS

    def decode(self, body: bytes) -> tuple[dict[str, Array], bool] | None:
        """Read a body.

        Returns:
            The tensor by its input's name, and whether it came in row form; None when the body is not for this reader.
        """
        try:
            document = self._parser.parse(body)
            if type(document) is not simdjson.Object or len(document) != 1:
                return None
            in_rows = "instances" in document
            values = document["instances" if in_rows else "inputs"]
            if type(values) is not simdjson.Array:
                return None
            count = len(values)
            kind = "d" if self._is_decimal else "i"
            flat = np.frombuffer(values.as_buffer(of_type=kind), "f8" if self._is_decimal else "i8")
        except (ValueError, TypeError, KeyError, RuntimeError):
            return None
        if not count or flat.size != count * self._width or not self._is_regular(body, values, count):
            return None
        if not self._is_decimal:
            bounds = np.iinfo(self._dtype)
            if flat.min() < bounds.min or flat.max() > bounds.max:
                return None
        with np.errstate(over="ignore"):
            tensor = flat.astype(self._dtype)
        return {self._name: tensor.reshape(count, *self._row)}, in_rows

    def _is_regular(self, body: bytes, values: simdjson.Array, count: int) -> bool:
        """Whether the lists are nested as the shape wants: simdjson flattens whatever there is."""
        if len(self._row) == 1 and self._width >= _WIDE:
            # As many lists as there are rows, and each row is one: then none is nested deeper.
            # Counted by numpy, which takes a quarter of the time that `bytes.count` does.
            lists = np.count_nonzero(np.frombuffer(body, np.uint8) == _LIST)
            return lists == count + 1 and all(type(row) is simdjson.Array and len(row) == self._width for row in values)
        skeleton = body.translate(None, _NUMBERS)
        # A list that ends where the value ends, and begins nowhere else than the value does.
        return skeleton[:-1].endswith(b"[" + b",".join([self._skeleton] * count) + b"]")


def _nested(shape: tuple[int, ...]) -> bytes:
    """Brackets and commas of a nested list."""
    return b"[" + b",".join([_nested(shape[1:])] * shape[0]) + b"]" if shape else b""
