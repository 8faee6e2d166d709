"""The service described by OpenAPI 3.1: its routes, and the signatures of the version that gets the most traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..codec.inference_tensors import DATATYPES
from ..codec.signature import DEFAULT, PREDICT, Signature, TensorSpec
from ..http.routes import Route
from ..model.model_set import ModelSet

_JSON = "application/json"
_ERROR: dict[str, Any] = {
    "description": "What is wrong, in one line.",
    "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_BASE64 = {"type": "object", "properties": {"b64": {"type": "string"}}, "required": ["b64"]}


def openapi(routes: Sequence[Route[Any]], models: ModelSet) -> dict[str, Any]:
    """The document of a service.

    Args:
        routes: Its routes; those with the name of an operation are described.
        models: What it serves.
    """
    name = models.plan.name
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        schema = route.request_schema(models) if route.request_schema else None
        if route.operation and (schema is not None or route.request_schema is None):
            paths.setdefault(route.template(name=name), {})[route.method.lower()] = _operation(route, schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": str(models.main.plan.version)},
        "paths": paths,
        "security": [{"key": []}] if models.plan.key_digests else [],
        "components": {
            "schemas": {
                "Error": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def predict_schema(models: ModelSet) -> dict[str, Any] | None:
    """The body of `:predict`; None where the default signature cannot be called by it."""
    default = models.main.servable.signatures.get(DEFAULT)
    return _predict(default) if default is not None and default.inputs and default.method in ("", PREDICT) else None


def infer_schema(models: ModelSet) -> dict[str, Any]:
    """The body of an inference."""
    return _infer(models.main.servable.signatures.get(DEFAULT))


def _operation(route: Route[Any], schema: dict[str, Any] | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.operation,
        "responses": {"200": {"description": route.summary, "content": {route.media_type: {}}}, "default": _ERROR},
    }
    if not route.needs_key:
        operation["security"] = []
    if schema is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    return operation


def _predict(signature: Signature) -> dict[str, Any]:
    inputs = signature.inputs
    row = _object_schema({name: _values(spec, (spec.shape or ())[1:]) for name, spec in inputs.items()})
    column = _object_schema({name: _values(spec, spec.shape) for name, spec in inputs.items()})
    if len(inputs) == 1:
        spec = next(iter(inputs.values()))
        row = {"anyOf": [_values(spec, (spec.shape or ())[1:]), row]}
        column = {"anyOf": [_values(spec, spec.shape), column]}
    name = {"type": "string", "default": DEFAULT}
    rows = {"type": "array", "items": row, "minItems": 1}
    return {
        "oneOf": [
            {"type": "object", "properties": {"signature_name": name, key: schema}, "required": [key]}
            for key, schema in (("instances", rows), ("inputs", column))
        ]
    }


def _infer(signature: Signature | None) -> dict[str, Any]:
    inputs: list[str] = [] if signature is None else list(signature.inputs)
    tensor = {
        "type": "object",
        "properties": {
            "name": {"enum": inputs} if inputs else {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"enum": sorted(set(DATATYPES.values()))},
            "parameters": {"type": "object"},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype"],
    }
    output = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": output},
        },
        "required": ["inputs"],
    }


def _object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _values(spec: TensorSpec, shape: tuple[int, ...] | None) -> dict[str, Any]:
    """Nested lists of a shape."""
    if shape is None:
        return {}
    kinds: dict[str, Any] = {
        "string": {"anyOf": [{"type": "string"}, _BASE64]},
        "bool": {"type": "boolean"},
    }
    schema = kinds.get(spec.dtype, {"type": "number" if spec.dtype in ("float", "double", "float16") else "integer"})
    for size in reversed(shape):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
    return schema
