"""TensorFlow Serving's REST paths over one model version; knows nothing of HTTP servers or of TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote

import orjson

from .json_text import parse_object
from .prediction_request import read_prediction, signature_name
from .prediction_response import to_json
from .refusal import Refusal
from .signature import Signature
from .tensors import Array

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_VERB = re.compile(_MODEL + r":(?P<verb>classify|regress|predict)", re.IGNORECASE)
_READ = re.compile(_MODEL + r"(?P<metadata>/metadata)?", re.IGNORECASE)
_LARGEST_VERSION = 2**63 - 1


class Servable(Protocol):
    """A loaded model, as the paths need it."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What it takes and gives."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The SavedModel's signatures in protobuf's JSON form."""
        ...

    def run(self, signature: Signature, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Run one signature."""
        ...


class RestApi:
    """Answers for one version of one model.

    Args:
        name: The model's name in the paths.
        version: Its version.
        servable: The model.
    """

    def __init__(self, name: str, version: int, servable: Servable) -> None:
        self._name = name
        self._version = version
        self._servable = servable

    def get(self, path: str) -> bytes:
        """Answer a GET: the model's status or metadata.

        Args:
            path: The path as sent, still percent-encoded, without the query.

        Raises:
            Refusal: There is no such path, model or version.
        """
        match = _READ.fullmatch(path)
        if match is None:
            if path.lower().rstrip("/") == "/v1/models":
                raise Refusal("Missing model name in request.")
            raise Refusal(f"Malformed request: GET {path}")
        name, version = self._named(match)
        if match["metadata"]:
            self._check_served(name, version)
            return self._metadata()
        if name != self._name:
            raise Refusal(f"Could not find any versions of model {name}", 404)
        if version not in (None, self._version):
            raise Refusal(f"Could not find version {version} of model {name}", 404)
        return self._status()

    def post(self, path: str, body: bytes) -> bytes:
        """Answer a POST: `:predict`.

        Args:
            path: The path as sent, still percent-encoded, without the query.
            body: The request's body.

        Raises:
            Refusal: There is no such path, model or version, or the body does not fit.
        """
        match = _VERB.fullmatch(path)
        if match is None:
            raise Refusal(f"Malformed request: POST {path}")
        name, version = self._named(match)
        if match["verb"].lower() != "predict":
            raise Refusal(f"{match['verb']} is not served: use :predict", 501)
        question = parse_object(body)
        signature_name(question)
        self._check_served(name, version)
        prediction = read_prediction(question, self._servable.signatures)
        outputs = self._servable.run(prediction.signature, prediction.tensors)
        return to_json(outputs, rows=prediction.rows)

    def _named(self, match: re.Match[str]) -> tuple[str, int | None]:
        if match["label"]:
            raise Refusal(f"Unrecognized servable version label: {unquote(match['label'])}")
        digits = match["version"]
        if digits and int(digits) > _LARGEST_VERSION:
            raise Refusal(f"Failed to convert version: {digits} to numeric.")
        return unquote(match["name"]), int(digits) if digits else None

    def _check_served(self, name: str, version: int | None) -> None:
        if name != self._name or version not in (None, self._version):
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Refusal(f"Servable not found for request: {wanted}", 404)

    def _status(self) -> bytes:
        status = {
            "version": str(self._version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return orjson.dumps({"model_version_status": [status]}, option=orjson.OPT_INDENT_2)

    def _metadata(self) -> bytes:
        spec = {"name": self._name, "signature_name": "", "version": str(self._version)}
        metadata = {"signature_def": self._servable.metadata}
        return orjson.dumps({"model_spec": spec, "metadata": metadata}, option=orjson.OPT_INDENT_2)
