"""The Open Inference Protocol, version 2, over the versions of one model. `routes` has the paths that lead here.

The protocol: https://github.com/kserve/open-inference-protocol; tensors as bytes: Triton's extension
`binary_tensor_data`. A signature other than the default one is chosen by the parameter `signature_name`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from ..codec.inference_tensors import (
    NO_SHARED_MEMORY,
    SHARED_MEMORY,
    declared_datatype,
    declared_shape,
    read_inputs,
    write_outputs,
)
from ..codec.json_text import parse_object, shown
from ..codec.prediction_request import Prediction
from ..codec.signature import DEFAULT, Signature, TensorSpec
from ..codec.tensors import Array, is_list, is_object
from ..http.errors import HttpError
from ..http.messages import Headers, Request, Response
from ..model.model_set import InferenceCall, LoadedModel, ModelSet
from .direct_response import DirectResponse, Parameters

PLATFORM = "tensorflow_savedmodel"
EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
_SERVER = {"name": "trainstack", "version": "2", "extensions": EXTENSIONS}


class OpenInferenceApi:
    """Handlers over the versions of one model. Parameters are those of the routes: `name`, `version`.

    Args:
        models: The versions.
    """

    def __init__(self, models: ModelSet) -> None:
        self._models = models

    def server(self, request: Request, parameters: Parameters) -> DirectResponse:
        """What the server is."""
        return DirectResponse(self._models.main, orjson.dumps(_SERVER))

    def live(self, request: Request, parameters: Parameters) -> DirectResponse:
        """That the server lives."""
        return DirectResponse(self._models.main, orjson.dumps({"live": True}))

    def ready(self, request: Request, parameters: Parameters) -> DirectResponse:
        """That the server can answer."""
        return DirectResponse(self._models.main, orjson.dumps({"ready": True}))

    def model_ready(self, request: Request, parameters: Parameters) -> DirectResponse:
        """That a version can answer.

        Raises:
            HttpError: There is no such model or version.
        """
        model = served_model(self._models, parameters)
        return DirectResponse(model, orjson.dumps({"name": self._models.plan.name, "ready": True}))

    def model(self, request: Request, parameters: Parameters) -> DirectResponse:
        """What a version takes and gives.

        Raises:
            HttpError: There is no such model or version.
        """
        model = served_model(self._models, parameters)
        signature = default_signature(model, request.parameter("signature_name"))
        return DirectResponse(model, orjson.dumps(model_metadata(self._models, signature)))

    def infer(self, request: Request, parameters: Parameters) -> InferenceCall:
        """Read an inference: JSON, and behind it the tensors that come as bytes.

        Raises:
            HttpError: There is no such model or version, or the body does not fit.
        """
        model = served_model(self._models, parameters)
        body = request.body
        split = _split(request.header(b"inference-header-content-length"), len(body))
        document = parse_object(body[:split] if split < len(body) else body, alone=True)
        _check(document)
        options = document.get("parameters", {})
        signature = default_signature(model, options.get("signature_name"))
        prediction = Prediction(signature, read_inputs(document["inputs"], body, split, signature), rows=False)
        as_bytes = _requested_outputs(document, signature)
        microseconds = options.get("timeout")
        if isinstance(microseconds, bool) or not isinstance(microseconds, int | float | None):
            raise HttpError("parameter 'timeout' must be a number of microseconds")
        head: dict[str, Any] = {"model_name": self._models.plan.name, "model_version": str(model.plan.version)}
        if "id" in document:
            head["id"] = document["id"]

        def write(outputs: Mapping[str, Array]) -> Response:
            content, json_size = write_outputs(head, {name: outputs[name] for name in as_bytes}, as_bytes)
            if json_size is None:
                return Response(content, headers=model.json_headers)
            sizes = {"content-type": "application/octet-stream", "inference-header-content-length": json_size}
            return Response(content, headers=Headers(sizes) + model.headers)

        seconds = microseconds / 1e6 if microseconds else None
        return InferenceCall(model, prediction, write, "version" in parameters, seconds)


def served_model(models: ModelSet, parameters: Parameters) -> LoadedModel:
    """The version that a path names, or one that is chosen.

    Raises:
        HttpError: There is no such model or version.
    """
    name, version = unquote(parameters["name"]), parameters.get("version")
    if name != models.plan.name:
        raise HttpError(f"there is no model {name!r}: this server serves {models.plan.name!r}", 404)
    if version is None:
        return models.choose()
    model = models.versions.get(int(version)) if re.fullmatch(r"\d{1,18}", version) else None
    if model is None:
        raise HttpError(f"there is no version {unquote(version)} of model {name!r}", 404)
    return model


def model_metadata(models: ModelSet, signature: Signature) -> dict[str, Any]:
    """The protocol's metadata of a model: what a signature takes and gives."""
    return {
        "name": models.plan.name,
        "versions": [str(version) for version in sorted(models.versions)],
        "platform": PLATFORM,
        "inputs": _tensor_specs(signature.inputs),
        "outputs": _tensor_specs(signature.outputs),
    }


def default_signature(model: LoadedModel, name: Any) -> Signature:
    """The signature of a name; where none is named, the default one or the only one.

    Raises:
        HttpError: There is no such signature, or several and none is the default.
    """
    signatures = model.servable.signatures
    if name is None:
        callable_names = sorted(name for name, signature in signatures.items() if signature.inputs)
        if not callable_names:
            raise HttpError("the model has no signature that takes inputs")
        if DEFAULT not in callable_names and len(callable_names) > 1:
            raise HttpError(
                f"the model has no signature {DEFAULT}: name one of {', '.join(callable_names)} as the parameter "
                "signature_name"
            )
        name = DEFAULT if DEFAULT in callable_names else callable_names[0]
    signature = signatures.get(name) if isinstance(name, str) else None
    if signature is None or not signature.inputs:
        raise HttpError(f"there is no signature {shown(name)}")
    return signature


def _split(header_length: str | None, size: int) -> int:
    if header_length is None:
        return size
    if not re.fullmatch(r"\d{1,18}", header_length) or int(header_length) > size:
        raise HttpError(
            f"Inference-Header-Content-Length {header_length!r} is no length within the body's {size} bytes"
        )
    return int(header_length)


def _check(document: Mapping[str, Any]) -> None:
    """What does not depend on the model."""
    for key in ("inputs", "outputs"):
        tensors = document.get(key, [])
        if not is_list(tensors) or not all(
            is_object(tensor) and isinstance(tensor.get("name"), str) for tensor in tensors
        ):
            raise HttpError(f"{key!r} must be a list of objects with a 'name'")
        for tensor in tensors:
            if not is_object(tensor.get("parameters", {})):
                raise HttpError(f"'parameters' of {tensor['name']!r} must be an object")
    if "inputs" not in document:
        raise HttpError("'inputs' is missing")
    if not is_object(document.get("parameters", {})):
        raise HttpError("'parameters' must be an object")
    if not isinstance(document.get("id", ""), str):
        raise HttpError("'id' must be a string")


def _requested_outputs(document: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    """The outputs that are asked for, and whether each is to come as bytes."""
    binary = document.get("parameters", {}).get("binary_data_output", False) is True
    outputs: list[dict[str, Any]] = document.get("outputs") or [{"name": name} for name in signature.outputs]
    requested: dict[str, bool] = {}
    for output in outputs:
        name, parameters = output["name"], output.get("parameters", {})
        if name not in signature.outputs:
            names = ", ".join(signature.outputs)
            raise HttpError(f"there is no output {name!r}: signature {signature.name!r} gives {names}")
        if name in requested:
            raise HttpError(f"output {name!r} is asked for twice")
        if SHARED_MEMORY in parameters:
            raise HttpError(f"output {name!r}: {NO_SHARED_MEMORY}")
        if parameters.get("classification"):
            raise HttpError(f"output {name!r}: the classification extension is not served", 501)
        requested[name] = parameters.get("binary_data", binary) is True
    return requested


def _tensor_specs(tensors: Mapping[str, TensorSpec]) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": declared_datatype(spec), "shape": declared_shape(spec)}
        for name, spec in tensors.items()
    ]
