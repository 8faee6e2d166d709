"""A `:predict` body to the tensors of one signature, in row form (`instances`) or column form (`inputs`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..http.errors import HttpError
from .json_text import RepeatedNames, shown
from .signature import DEFAULT, Signature
from .tensors import Array, is_base64, is_list, is_object, to_array


@dataclass(frozen=True)
class Prediction:
    """What a client asks for.

    Attributes:
        signature: The signature to run.
        tensors: Input name to tensor.
        rows: Whether the answer goes out in row form.
    """

    signature: Signature
    tensors: dict[str, Array]
    rows: bool


def signature_name(body: Mapping[str, Any]) -> str:
    """The signature that a body names; `serving_default` when it names none.

    Raises:
        HttpError: `signature_name` is not a string.
    """
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise HttpError(
            f"JSON Value: {shown(body)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name or DEFAULT


def read_prediction(body: Mapping[str, Any], signatures: Mapping[str, Signature]) -> Prediction:
    """Read a `:predict` body.

    Args:
        body: The JSON object that was sent.
        signatures: The model's signatures by name.

    Raises:
        HttpError: The body does not fit the signature; the text says where.
    """
    name = signature_name(body)
    signature = signatures.get(name)
    if signature is None:
        raise HttpError(f'Serving signature name: "{name}" not found in signature def')
    if not signature.inputs:
        raise HttpError(f"Failed to get input map for signature: {name}")
    if "instances" in body and "inputs" in body:
        raise HttpError(
            f"JSON Value: {shown(body)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    if "instances" in body:
        tensors, rows = _from_rows(body["instances"], signature), True
    elif "inputs" in body:
        tensors, rows = _from_columns(body["inputs"], signature), False
    else:
        raise HttpError("Missing 'inputs' or 'instances' key")
    for name, tensor in tensors.items():
        spec = signature.inputs[name]
        if not spec.accepts(tensor.shape):
            raise HttpError(
                f"input {name!r} has shape {list(tensor.shape)}, but signature {signature.name!r} takes "
                f"{list(spec.shape or ())} (-1 is any size)"
            )
    return Prediction(signature, tensors, rows)


def _from_columns(value: Any, signature: Signature) -> dict[str, Array]:
    if not is_object(value) or is_base64(value):
        if len(signature.inputs) > 1:
            raise HttpError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required: "
                + ",".join(signature.inputs)
            )
        name, spec = next(iter(signature.inputs.items()))
        return {name: to_array(value, spec.dtype)}
    for name in signature.inputs:
        if name not in value:
            raise HttpError(f"Missing named input: {name} in 'inputs' object.")
    return {name: to_array(value[name], spec.dtype) for name, spec in signature.inputs.items()}


def _from_rows(rows: Any, signature: Signature) -> dict[str, Array]:
    if not is_list(rows):
        raise HttpError("Expecting 'instances' to be an list/array")
    if not rows:
        raise HttpError("No values in 'instances' array")
    by_name = _is_named(rows[0])
    if not by_name and len(signature.inputs) > 1:
        raise HttpError(
            "instances is a plain list, but expecting list of objects as multiple input tensors required: "
            + ",".join(signature.inputs)
        )
    for index, row in enumerate(rows):
        if _is_named(row) != by_name:
            got, expected = ("list", "object") if by_name else ("object", "value/list")
            raise HttpError(f"Expecting {expected} but got {got} at item {index} of input list")
        if by_name and (row.keys() != signature.inputs.keys() or isinstance(row, RepeatedNames)):
            raise HttpError(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(row)} "
                f"keys must be equal to: {','.join(signature.inputs)}"
            )
    if by_name:
        return {
            name: _stacked([row[name] for row in rows], spec.dtype, f" key: {name}")
            for name, spec in signature.inputs.items()
        }
    name, spec = next(iter(signature.inputs.items()))
    return {name: _stacked(rows, spec.dtype, "")}


def _is_named(row: Any) -> bool:
    return is_object(row) and not is_base64(row)


def _stacked(rows: list[Any], dtype: str, key: str) -> Array:
    """One tensor of all rows; when they do not fit together, find the row that is to blame."""
    try:
        return to_array(rows, dtype)
    except HttpError as whole:
        expected: tuple[int, ...] | None = None
        for index, row in enumerate(rows):
            where = f"Failed to process element: {index}{key} of 'instances' list. Error: INVALID_ARGUMENT: "
            try:
                shape = to_array(row, dtype).shape
            except HttpError as error:
                raise HttpError(where + str(error)) from whole
            if expected is not None and math.prod(shape) != math.prod(expected):
                sizes = f"{math.prod(expected)} but got: {math.prod(shape)}"
                raise HttpError(f"{where}Expecting tensor size: {sizes}") from whole
            if expected is not None and shape != expected:
                raise HttpError(f"{where}Expecting shape {_listed(expected)} but got: {_listed(shape)}") from whole
            expected = shape
        raise


def _listed(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
