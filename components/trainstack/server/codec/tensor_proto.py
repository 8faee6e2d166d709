"""TensorFlow's `TensorProto` to arrays and back, without TensorFlow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..http.errors import HttpError
from .protobuf_messages import TENSORFLOW, message
from .tensors import Array

# tensorflow/core/framework/types.proto: number, TensorFlow's name, and the field that holds such values.
_TYPES = {
    1: ("float", "float_val"), 2: ("double", "double_val"), 3: ("int32", "int_val"), 4: ("uint8", "int_val"),
    5: ("int16", "int_val"), 6: ("int8", "int_val"), 7: ("string", "string_val"), 9: ("int64", "int64_val"),
    10: ("bool", "bool_val"), 14: ("bfloat16", "half_val"), 17: ("uint16", "int_val"), 19: ("float16", "half_val"),
    22: ("uint32", "uint32_val"), 23: ("uint64", "uint64_val"),
}  # fmt: skip
_NUMBERS = {name: number for number, (name, _) in _TYPES.items()}
_NUMPY = {"float": "float32", "double": "float64", "string": "object"}
# Values that one may stand for: a request of a few bytes must not fill the memory.
_MOST_REPEATED = 2**24
_TENSORFLOW = {numpy: name for name, numpy in _NUMPY.items()}


def read_tensor(proto: Any, name: str, dtype: str) -> Array:
    """Read a tensor.

    Args:
        proto: The `TensorProto`.
        name: Of which input it is, for messages.
        dtype: TensorFlow's name of the type that the input takes.

    Raises:
        HttpError: It is of another type, or holds other values than its shape says.
    """
    sent, field = _TYPES.get(proto.dtype, (str(proto.dtype), ""))
    if sent != dtype:
        raise HttpError(f"input {name!r} is of type {sent}, but the model takes {dtype}")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise HttpError(f"input {name!r} has no shape")
    numpy = np.dtype(_NUMPY.get(dtype, dtype))
    if proto.tensor_content:
        if numpy.kind == "O" or len(proto.tensor_content) != math.prod(shape) * numpy.itemsize:
            raise HttpError(f"input {name!r}: its content is not as long as shape {list(shape)} says")
        return np.frombuffer(proto.tensor_content, numpy).reshape(shape)
    sent_values = getattr(proto, field)
    # As TensorFlow reads it: the last value stands for all that are missing.
    count = math.prod(shape)
    if len(sent_values) > count or (count and not len(sent_values)) or count > len(sent_values) > 1:
        raise HttpError(f"input {name!r} holds {len(sent_values)} values, but shape {list(shape)} takes {count}")
    if numpy.kind == "O":
        values = np.empty(len(sent_values), object)
        values[:] = list(sent_values)
    elif field == "half_val":
        values = np.array(sent_values, np.uint16).view(numpy)
    else:
        values = np.array(sent_values, numpy)
    if len(values) < count and count > _MOST_REPEATED:
        raise HttpError(f"input {name!r}: one value for {count} is more than {_MOST_REPEATED}")
    return (np.full(count, values[0], numpy) if len(values) < count else values).reshape(shape)


def write_tensor(proto: Any, tensor: Array) -> None:
    """Write a tensor into a `TensorProto`, its values in the field of their type, as TensorFlow Serving does."""
    name = "string" if tensor.dtype.kind in "OS" else _TENSORFLOW.get(tensor.dtype.name, tensor.dtype.name)
    if name not in _NUMBERS:
        raise HttpError(f"an output is of type {name}, which no answer has", 501)
    proto.dtype = _NUMBERS[name]
    for size in tensor.shape:
        proto.tensor_shape.dim.add().size = size
    flat = np.ascontiguousarray(tensor).ravel()
    field = _TYPES[proto.dtype][1]
    getattr(proto, field).extend((flat.view(np.uint16) if field == "half_val" else flat).tolist())


def new_tensor() -> Any:
    """An empty `TensorProto`."""
    return message(TENSORFLOW, "TensorProto")()
