"""TensorFlow Serving's REST API over the versions of one model. `routes` has the paths that lead here.

The protocol: https://www.tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from ..codec.examples import read_examples
from ..codec.json_text import parse_object
from ..codec.prediction_request import read_prediction, signature_name
from ..codec.prediction_response import to_json
from ..codec.tensors import Array
from ..http.errors import HttpError
from ..http.messages import Request, Response
from ..model.model_set import InferenceCall, LoadedModel, ModelSet
from .direct_response import DirectResponse, Parameters

_LARGEST_VERSION = 2**63 - 1
# Bytes of JSON that are read on the event loop: about a millisecond's worth.
_SIMD_BODY = 2**20


class TensorFlowServingApi:
    """Handlers over the versions of one model. Parameters are those of the routes: `name`, `version`, `label`.

    Args:
        models: The versions.
    """

    def __init__(self, models: ModelSet) -> None:
        self._models = models
        self._name = models.plan.name

    def status(self, request: Request, parameters: Parameters) -> DirectResponse:
        """The versions of the model and their states.

        Raises:
            HttpError: There is no such model or version.
        """
        name, version, label = _parse_parameters(parameters)
        if name != self._name:
            raise HttpError(f"Could not find any versions of model {name}", 404)
        if version is None and label is None:
            versions = [self._models.versions[number] for number in sorted(self._models.versions, reverse=True)]
            return DirectResponse(self._models.main, _status(versions))
        model = self._models.named(version, label)
        if model is None:
            raise HttpError(f"Could not find version {version} of model {name}", 404)
        return DirectResponse(model, _status([model]))

    def metadata(self, request: Request, parameters: Parameters) -> DirectResponse:
        """The signatures of a version.

        Raises:
            HttpError: There is no such model or version.
        """
        model = self._served(*_parse_parameters(parameters))
        spec = {"name": self._name, "signature_name": "", "version": str(model.plan.version)}
        metadata = {"signature_def": model.servable.metadata}
        document = {"model_spec": spec, "metadata": metadata}
        return DirectResponse(model, orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def nameless(self, request: Request, parameters: Parameters) -> DirectResponse:
        """What TensorFlow Serving says of a path without a model.

        Raises:
            HttpError: Always.
        """
        raise HttpError("Missing model name in request.")

    def malformed(self, request: Request, parameters: Parameters) -> DirectResponse:
        """What TensorFlow Serving says of a path or method that it does not have.

        Raises:
            HttpError: Always.
        """
        raise HttpError(f"Malformed request: {request.method} {request.path}")

    def read_usual(self, request: Request, parameters: Parameters) -> InferenceCall | None:
        """Read a `:predict` of the usual form: to no version, numbers for one input. Only on the event loop.

        Returns:
            The call; None when it is another, which `predict` then reads.
        """
        if len(request.body) > _SIMD_BODY or parameters != {"name": self._name}:
            return None
        model = self._models.choose()
        prediction = model.decoded(request.body)
        return None if prediction is None else InferenceCall(model, prediction, _writer(model, prediction.rows))

    def predict(self, request: Request, parameters: Parameters) -> InferenceCall:
        """Read a `:predict`.

        Raises:
            HttpError: There is no such model or version, or the body does not fit.
        """
        body, model, is_named = self._read(request, parameters)
        prediction = read_prediction(body, model.servable.signatures)
        return InferenceCall(model, prediction, _writer(model, prediction.rows), is_named)

    def classify(self, request: Request, parameters: Parameters) -> InferenceCall:
        """Read a `:classify`.

        Raises:
            HttpError: There is no such model or version, or the body does not fit.
        """
        return self._read_examples(request, parameters, "classify")

    def regress(self, request: Request, parameters: Parameters) -> InferenceCall:
        """Read a `:regress`.

        Raises:
            HttpError: There is no such model or version, or the body does not fit.
        """
        return self._read_examples(request, parameters, "regress")

    def _read_examples(self, request: Request, parameters: Parameters, verb: str) -> InferenceCall:
        body, model, is_named = self._read(request, parameters)
        examples = read_examples(body, model.servable.signatures, verb)

        def write(outputs: Mapping[str, Array]) -> Response:
            return Response(examples.to_json(outputs), headers=model.json_headers)

        return InferenceCall(model, examples.prediction, write, is_named)

    def _read(self, request: Request, parameters: Parameters) -> tuple[dict[str, Any], LoadedModel, bool]:
        name, version, label = _parse_parameters(parameters)
        # A body that is none is told before a model that is none.
        body = parse_object(request.body)
        signature_name(body)
        return body, self._served(name, version, label), version is not None or label is not None

    def _served(self, name: str, version: int | None, label: str | None) -> LoadedModel:
        if name == self._name:
            model = self._models.named(version, label)
            if model is not None:
                return model
        elif label is not None:
            raise HttpError(f"Unrecognized servable version label: {label}")
        servable = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise HttpError(f"Servable not found for request: {servable}", 404)


def _writer(model: LoadedModel, rows: bool) -> Callable[[Mapping[str, Array]], Response]:
    return lambda outputs: Response(to_json(outputs, rows=rows), headers=model.json_headers)


def _parse_parameters(parameters: Parameters) -> tuple[str, int | None, str | None]:
    digits, label = parameters.get("version"), parameters.get("label")
    if digits and (len(digits) > 20 or int(digits) > _LARGEST_VERSION):
        raise HttpError(f"Failed to convert version: {digits} to numeric.")
    return unquote(parameters["name"]), int(digits) if digits else None, unquote(label) if label else None


def _status(versions: list[LoadedModel]) -> bytes:
    statuses: list[dict[str, Any]] = [
        {
            "version": str(model.plan.version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for model in versions
    ]
    return orjson.dumps({"model_version_status": statuses}, option=orjson.OPT_INDENT_2)
