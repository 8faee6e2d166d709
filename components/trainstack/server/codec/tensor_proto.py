"""TensorFlow's `TensorProto` to arrays and back, without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..http.errors import HttpError
from .signature import TYPES, Signature, numpy_name
from .tensors import Array

# The field of a `TensorProto` that holds values of a type.
_FIELDS = {
    "float": "float_val", "double": "double_val", "string": "string_val", "int64": "int64_val", "bool": "bool_val",
    "uint32": "uint32_val", "uint64": "uint64_val", **dict.fromkeys(("bfloat16", "float16"), "half_val"),
    **dict.fromkeys(("int32", "uint8", "int16", "int8", "uint16"), "int_val"),
}  # fmt: skip
_NUMBERS = {name: number for number, name in TYPES.items() if name in _FIELDS}
# Values that one may stand for: a request of a few bytes must not fill the memory.
_MOST_REPEATED = 2**24
_TENSORFLOW = {"float32": "float", "float64": "double"}


def read_tensors(protos: Mapping[str, Any], signature: Signature) -> dict[str, Array]:
    """Read the inputs of a signature, all of which are there.

    Raises:
        HttpError: One is of another type or shape, or holds other values than its shape says.
    """
    tensors = {name: read_tensor(protos[name], name, spec.dtype) for name, spec in signature.inputs.items()}
    check_shapes(tensors, signature)
    return tensors


def check_shapes(tensors: Mapping[str, Array], signature: Signature) -> None:
    """Refuse a tensor of a shape that its input does not take.

    Raises:
        HttpError: There is one.
    """
    for name, tensor in tensors.items():
        if not signature.inputs[name].accepts(tensor.shape):
            raise HttpError(
                f"input {name!r} has shape {list(tensor.shape)}, but signature {signature.name!r} takes "
                f"{list(signature.inputs[name].shape or ())} (-1 is any size)"
            )


def read_tensor(proto: Any, name: str, dtype: str) -> Array:
    """Read a tensor.

    Args:
        proto: The `TensorProto`.
        name: Of which input it is, for messages.
        dtype: TensorFlow's name of the type that the input takes.

    Raises:
        HttpError: It is of another type, or holds other values than its shape says.
    """
    sent = TYPES.get(proto.dtype, str(proto.dtype))
    if sent != dtype or sent not in _FIELDS:
        raise HttpError(f"input {name!r} is of type {sent}, but the model takes {dtype}")
    field = _FIELDS[sent]
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise HttpError(f"input {name!r} has no shape")
    numpy = np.dtype(numpy_name(dtype))
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
    field = _FIELDS[name]
    getattr(proto, field).extend((flat.view(np.uint16) if field == "half_val" else flat).tolist())
