"""The Open Inference Protocol's messages of gRPC to tensors and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..http.errors import HttpError
from .inference_tensors import (
    NO_SHARED_MEMORY,
    SHARED_MEMORY,
    checked_shape,
    datatype_of,
    from_bytes,
    to_bytes,
)
from .protobuf_messages import INFERENCE, message
from .signature import Signature
from .tensors import Array

# The field of `InferTensorContents` that holds values of a type.
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


def parameters_of(message_with_parameters: Any) -> dict[str, Any]:
    """The parameters of a request or a tensor, by name."""
    return {
        name: getattr(value, value.WhichOneof("choice") or "bool_param")
        for name, value in message_with_parameters.parameters.items()
    }


def read_inputs(request: Any, signature: Signature) -> dict[str, Array]:
    """Read the tensors of a request.

    Raises:
        HttpError: One does not fit its declaration or the signature, or one is missing.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise HttpError(f"raw_input_contents holds {len(raw)} tensors, but there are {len(request.inputs)} inputs")
    tensors: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        spec = signature.inputs.get(tensor.name)
        if spec is None or tensor.name in tensors:
            raise HttpError(
                f"there is no input {tensor.name!r}: signature {signature.name!r} takes {', '.join(signature.inputs)}"
                if spec is None
                else f"input {tensor.name!r} comes twice"
            )
        if SHARED_MEMORY in tensor.parameters:
            raise HttpError(f"input {tensor.name!r}: {NO_SHARED_MEMORY}")
        declaration = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        shape = checked_shape(declaration, spec, signature)
        if raw:
            tensors[tensor.name] = from_bytes(tensor.name, memoryview(raw[index]), spec, shape)
            continue
        if tensor.datatype not in _CONTENTS:
            raise HttpError(f"input {tensor.name!r} of type {tensor.datatype} goes in raw_input_contents only")
        values = list(getattr(tensor.contents, _CONTENTS[tensor.datatype]))
        if len(values) != int(np.prod(shape, dtype=np.int64)):
            raise HttpError(f"input {tensor.name!r} holds {len(values)} values, but its shape is {list(shape)}")
        array = np.empty(len(values), spec.numpy)
        try:
            array[:] = values
        except OverflowError as exc:
            raise HttpError(f"input {tensor.name!r} holds a number that {tensor.datatype} does not have") from exc
        tensors[tensor.name] = array.reshape(shape)
    missing = [name for name in signature.inputs if name not in tensors]
    if missing:
        raise HttpError(f"input {missing[0]!r} is missing")
    return tensors


def requested_outputs(request: Any, signature: Signature) -> list[str]:
    """The outputs that are asked for.

    Raises:
        HttpError: There is no such output, or it is asked for in a form that is not served.
    """
    names: list[str] = []
    for output in request.outputs:
        if output.name not in signature.outputs:
            raise HttpError(f"there is no output {output.name!r}: there are {', '.join(signature.outputs)}")
        if SHARED_MEMORY in output.parameters:
            raise HttpError(f"output {output.name!r}: {NO_SHARED_MEMORY}")
        names.append(output.name)
    return names or list(signature.outputs)


def write_outputs(name: str, version: int, identity: str, outputs: Mapping[str, Array]) -> Any:
    """Write an answer, its tensors as bytes."""
    response = message(INFERENCE, "ModelInferResponse")(model_name=name, model_version=str(version), id=identity)
    for output, tensor in outputs.items():
        response.outputs.add(name=output, datatype=datatype_of(output, tensor), shape=tensor.shape)
        response.raw_output_contents.append(to_bytes(tensor))
    return response
