"""Tensors of the Open Inference Protocol: as JSON, and as bytes behind the JSON (little-endian, row by row)."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from ..http.errors import HttpError
from .json_text import shown
from .prediction_response import number_fragment, widened
from .signature import Signature, TensorSpec
from .tensors import Array, is_list, to_array

# TensorFlow's name of a type to the protocol's.
DATATYPES = {
    "bool": "BOOL", "float16": "FP16", "bfloat16": "BF16", "float": "FP32", "double": "FP64", "string": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
_LENGTH = struct.Struct("<I")
SHARED_MEMORY = "shared_memory_region"
NO_SHARED_MEMORY = "tensors in shared memory are not served: send and ask for them as JSON or binary data"


def read_inputs(inputs: Sequence[Mapping[str, Any]], body: bytes, start: int, signature: Signature) -> dict[str, Array]:
    """Read the tensors of a request.

    Args:
        inputs: The request's `inputs`.
        body: The request's body.
        start: Where in it the tensors begin that come as bytes.
        signature: What they are for.

    Raises:
        HttpError: One does not fit its declaration or the signature, or one is missing.
    """
    tensors: dict[str, Array] = {}
    for declaration in inputs:
        name = declaration["name"]
        spec = signature.inputs.get(name)
        if spec is None:
            raise HttpError(
                f"there is no input {name!r}: signature {signature.name!r} takes {', '.join(signature.inputs)}"
            )
        if name in tensors:
            raise HttpError(f"input {name!r} comes twice")
        shape = checked_shape(declaration, spec, signature)
        size = declaration.get("parameters", {}).get("binary_data_size")
        if size is None:
            tensors[name] = _from_json(declaration, spec, shape)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(body) - start:
            raise HttpError(f"input {name!r}: binary_data_size {shown(size)} is not within the body")
        tensors[name] = from_bytes(name, memoryview(body)[start : start + size], spec, shape)
        start += size
    if start != len(body) and any("binary_data_size" in declaration.get("parameters", {}) for declaration in inputs):
        raise HttpError(f"{len(body) - start} bytes are left after the last tensor")
    missing = [name for name in signature.inputs if name not in tensors]
    if missing:
        raise HttpError(f"input {missing[0]!r} is missing")
    return tensors


def write_outputs(
    about: dict[str, Any], outputs: Mapping[str, Array], binary: Mapping[str, bool]
) -> tuple[bytes, int | None]:
    """Write an answer.

    Args:
        about: What the answer says beside its outputs.
        outputs: Output name to tensor.
        binary: Which of them go out as bytes.

    Returns:
        The body, and how many bytes of it are JSON; None when all are.
    """
    declarations: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, tensor in outputs.items():
        declaration: dict[str, Any] = {"name": name, "datatype": datatype_of(name, tensor), "shape": list(tensor.shape)}
        if binary[name]:
            blob = to_bytes(tensor)
            declaration["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            declaration["data"] = _to_json(name, tensor)
        declarations.append(declaration)
    written = orjson.dumps({**about, "outputs": declarations}, option=orjson.OPT_SERIALIZE_NUMPY)
    if not blobs:
        return written, None
    return b"".join([written, *blobs]), len(written)


def declared_datatype(spec: TensorSpec) -> str:
    """The protocol's name of a tensor's type; TensorFlow's in capitals where the protocol has none."""
    return DATATYPES.get(spec.dtype, spec.dtype.upper())


def declared_shape(spec: TensorSpec) -> list[int]:
    """A tensor's dimensions as the protocol has them, -1 for any size; one of any size where even the rank is open."""
    return [-1] if spec.shape is None else list(spec.shape)


def datatype_of(name: str, tensor: Array) -> str:
    """The protocol's name of an output's type.

    Raises:
        HttpError: It has none.
    """
    numpy = tensor.dtype.name
    kind = "string" if tensor.dtype.kind in "OS" else {"float32": "float", "float64": "double"}.get(numpy, numpy)
    if kind not in DATATYPES:
        raise HttpError(f"output {name!r} is of type {kind}, which the protocol does not have", 501)
    return DATATYPES[kind]


def checked_shape(declaration: Mapping[str, Any], spec: TensorSpec, signature: Signature) -> tuple[int, ...]:
    """The shape that a tensor is declared with.

    Raises:
        HttpError: Its type or shape is not what the signature takes.
    """
    name, shape, datatype = declaration["name"], declaration.get("shape"), declaration.get("datatype")
    if datatype != DATATYPES.get(spec.dtype):
        raise HttpError(f"input {name!r} is of type {shown(datatype)}, but the model takes {DATATYPES.get(spec.dtype)}")
    if not is_list(shape) or not all(type(size) is int and 0 <= size < 2**31 for size in shape) or len(shape) > 32:
        raise HttpError(f"input {name!r} needs a 'shape': a list of whole numbers")
    sizes = tuple(shape)
    if not spec.accepts(sizes):
        raise HttpError(
            f"input {name!r} has shape {list(sizes)}, but signature {signature.name!r} takes "
            f"{list(spec.shape or ())} (-1 is any size)"
        )
    return sizes


def _from_json(declaration: Mapping[str, Any], spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    name, data = declaration["name"], declaration.get("data")
    if SHARED_MEMORY in declaration.get("parameters", {}):
        raise HttpError(f"input {name!r}: {NO_SHARED_MEMORY}")
    if not is_list(data):
        raise HttpError(f"input {name!r} needs 'data': a list, or bytes and their binary_data_size")
    try:
        values = to_array(data, spec.dtype)
    except HttpError as error:
        raise HttpError(f"input {name!r}: {error}", error.status) from error
    if values.size != math.prod(shape) or (values.ndim > 1 and values.shape != shape):
        raise HttpError(f"input {name!r}: 'data' holds {list(values.shape)} values, but 'shape' says {list(shape)}")
    return values.reshape(shape)


def from_bytes(name: str, data: memoryview, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    """A tensor of its bytes.

    Raises:
        HttpError: They are not as many as the shape says.
    """
    count = math.prod(shape)
    if spec.dtype == "string":
        return _strings(name, data, count).reshape(shape)
    dtype = _little_endian(np.dtype(spec.numpy))
    if len(data) != count * dtype.itemsize:
        raise HttpError(f"input {name!r} of shape {list(shape)} takes {count * dtype.itemsize} bytes, not {len(data)}")
    if spec.dtype == "bool":
        # Other bytes than 0 and 1 are true, but are none.
        return (np.frombuffer(data, np.uint8) != 0).reshape(shape)
    return np.frombuffer(data, dtype).reshape(shape)


def _strings(name: str, data: memoryview, count: int) -> Array:
    # Each has a length of four bytes at least, so no shape can make this larger than the body.
    if count > len(data) // _LENGTH.size:
        raise HttpError(f"input {name!r}: its bytes end before {count} strings do")
    strings = np.empty(count, object)
    start = 0
    for index in range(count):
        end = start + _LENGTH.size
        length = _LENGTH.unpack(data[start:end])[0] if end <= len(data) else len(data)
        if end + length > len(data):
            raise HttpError(f"input {name!r}: its bytes end before {count} strings do")
        strings[index] = bytes(data[end : end + length])
        start = end + length
    if start != len(data):
        raise HttpError(f"input {name!r}: {len(data) - start} bytes are left after {count} strings")
    return strings


def _little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    # Types that numpy has from elsewhere (bfloat16) have no byte order of their own.
    return dtype if dtype.kind == "V" else dtype.newbyteorder("<")


def to_bytes(tensor: Array) -> bytes:
    """The bytes of a tensor: little-endian, row by row; a string has its length before it."""
    if tensor.dtype.kind not in "OS":
        return np.ascontiguousarray(tensor, _little_endian(tensor.dtype)).tobytes()
    return b"".join(_LENGTH.pack(len(value)) + value for value in tensor.ravel().tolist())


def _to_json(name: str, tensor: Array) -> Any:
    flat = np.ascontiguousarray(tensor).ravel()
    if flat.dtype.kind in "OS":
        try:
            return [value.decode() for value in flat.tolist()]
        except UnicodeDecodeError as exc:
            raise HttpError(f"output {name!r} holds bytes that are not UTF-8: ask for it as binary data", 400) from exc
    flat = widened(flat)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        return [number_fragment(value) for value in flat]
    return flat
