"""The service described by OpenAPI 3.1, from the signatures of the version that gets the most traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.model_set import Hosting
from ..model.signature import DEFAULT, PREDICT, Signature, TensorSpec
from .inference_tensors import DATATYPES

_JSON = "application/json"
_ERROR: dict[str, Any] = {
    "description": "What is wrong, in one line.",
    "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_BASE64 = {"type": "object", "properties": {"b64": {"type": "string"}}, "required": ["b64"]}


def openapi(hosting: Hosting) -> dict[str, Any]:
    """Describe what is served."""
    name = hosting.plan.name
    signatures = hosting.main.servable.signatures
    default = signatures.get(DEFAULT)
    model = f"/v1/models/{name}"
    paths: dict[str, Any] = {
        model: {"get": _read("Status of the model's versions", "status")},
        f"{model}/metadata": {"get": _read("The model's signatures", "metadata")},
        "/healthz": {"get": _read("Which model is served, by what", "health", key=False)},
        "/metrics": {"get": _read("Metrics for Prometheus", "metrics", media="text/plain")},
        "/v2": {"get": _read("The server", "server")},
        "/v2/health/live": {"get": _read("Whether the server is alive", "live", key=False)},
        "/v2/health/ready": {"get": _read("Whether the server is ready", "ready", key=False)},
        f"/v2/models/{name}": {"get": _read("The model", "model")},
        f"/v2/models/{name}/ready": {"get": _read("Whether the model is ready", "modelReady")},
        f"/v2/models/{name}/infer": {"post": _post("Infer, by the Open Inference Protocol", "infer", _infer(default))},
    }
    if default is not None and default.inputs and default.method in ("", PREDICT):
        paths[f"{model}:predict"] = {"post": _post("Predict, in rows or columns", "predict", _predict(default))}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": str(hosting.main.plan.version)},
        "paths": paths,
        "security": [{"key": []}] if hosting.plan.key_digests else [],
        "components": {
            "schemas": {
                "Error": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _read(summary: str, operation: str, *, key: bool = True, media: str = _JSON) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": summary,
        "operationId": operation,
        "responses": {"200": {"description": "So it is.", "content": {media: {}}}, "default": _ERROR},
    }
    if not key:
        described["security"] = []
    return described


def _post(summary: str, operation: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        **_read(summary, operation),
        "requestBody": {"required": True, "content": {_JSON: {"schema": schema}}},
    }


def _predict(signature: Signature) -> dict[str, Any]:
    inputs = signature.inputs
    row = _named({name: _values(spec, (spec.shape or ())[1:]) for name, spec in inputs.items()})
    column = _named({name: _values(spec, spec.shape) for name, spec in inputs.items()})
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
    one = {
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
            "inputs": {"type": "array", "items": one},
            "outputs": {"type": "array", "items": output},
        },
        "required": ["inputs"],
    }


def _named(properties: Mapping[str, Any]) -> dict[str, Any]:
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
