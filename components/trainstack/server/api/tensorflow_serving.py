"""TensorFlow Serving's REST paths over the versions of one model; knows nothing of HTTP servers.

The protocol: https://www.tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from ..http.errors import Refusal
from ..model.model_set import Asked, Hosted, Hosting
from .examples import read_examples
from .json_text import parse_object
from .prediction_request import read_prediction, signature_name
from .prediction_response import to_json
from .tensors import Array

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_VERB = re.compile(_MODEL + r":(?P<verb>classify|regress|predict)", re.IGNORECASE)
_READ = re.compile(_MODEL + r"(?P<metadata>/metadata)?", re.IGNORECASE)
_LARGEST_VERSION = 2**63 - 1
# Bytes of JSON that are read on the event loop: about a millisecond's worth.
_SIMD_BODY = 2**20


class RestApi:
    """Answers for the versions of one hosting.

    Args:
        hosting: The versions.
    """

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self._name = hosting.plan.name
        self._usual = f"/v1/models/{self._name}:predict"

    def get(self, path: str) -> tuple[bytes, Hosted]:
        """Answer a GET: the model's status or metadata.

        Args:
            path: The path as sent, still percent-encoded, without the query.

        Returns:
            JSON, and the version that it is about.

        Raises:
            Refusal: There is no such path, model or version.
        """
        match = _READ.fullmatch(path)
        if match is None:
            if path.lower().rstrip("/") == "/v1/models":
                raise Refusal("Missing model name in request.")
            raise Refusal(f"Malformed request: GET {path}")
        name, version, label = _named(match)
        if match["metadata"]:
            hosted = self._served(name, version, label)
            return self._metadata(hosted), hosted
        if name != self._name:
            raise Refusal(f"Could not find any versions of model {name}", 404)
        if version is None and label is None:
            versions = [self._hosting.versions[number] for number in sorted(self._hosting.versions, reverse=True)]
            return _status(versions), self._hosting.main
        hosted = self._hosting.named(version, label)
        if hosted is None:
            raise Refusal(f"Could not find version {version} of model {name}", 404)
        return _status([hosted]), hosted

    def quick(self, path: str, body: bytes) -> Asked | None:
        """Read a POST of the usual form: `:predict` to no version, numbers for one input. Only on the event loop.

        Returns:
            The request; None when it is another, which `read` then reads.
        """
        if path != self._usual or len(body) > _SIMD_BODY:
            return None
        hosted = self._hosting.chosen()
        prediction = hosted.decoded(body)
        return None if prediction is None else Asked(hosted, prediction, _written(hosted, prediction.rows))

    def read(self, path: str, body: bytes) -> Asked:
        """Read a POST: `:predict`, `:classify` or `:regress`.

        Args:
            path: The path as sent, still percent-encoded, without the query.
            body: The request's body.

        Raises:
            Refusal: There is no such path, model or version, or the body does not fit.
        """
        match = _VERB.fullmatch(path)
        if match is None:
            raise Refusal(f"Malformed request: POST {path}")
        name, version, label = _named(match)
        verb = match["verb"].lower()
        # A body that is none is told before a model that is none.
        question = parse_object(body)
        signature_name(question)
        hosted = self._served(name, version, label)
        named = version is not None or label is not None
        if verb == "predict":
            prediction = read_prediction(question, hosted.servable.signatures)
            return Asked(hosted, prediction, _written(hosted, prediction.rows), named)
        examples = read_examples(question, hosted.servable.signatures, verb)
        return Asked(hosted, examples.prediction, lambda outputs: (hosted.json_head, examples.to_json(outputs)), named)

    def _served(self, name: str, version: int | None, label: str | None) -> Hosted:
        if name == self._name:
            hosted = self._hosting.named(version, label)
            if hosted is not None:
                return hosted
        elif label is not None:
            raise Refusal(f"Unrecognized servable version label: {label}")
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise Refusal(f"Servable not found for request: {wanted}", 404)

    def _metadata(self, hosted: Hosted) -> bytes:
        spec = {"name": self._name, "signature_name": "", "version": str(hosted.plan.version)}
        metadata = {"signature_def": hosted.servable.metadata}
        return orjson.dumps({"model_spec": spec, "metadata": metadata}, option=orjson.OPT_INDENT_2)


def _written(hosted: Hosted, rows: bool) -> Callable[[Mapping[str, Array]], tuple[bytes, bytes]]:
    return lambda outputs: (hosted.json_head, to_json(outputs, rows=rows))


def _named(match: re.Match[str]) -> tuple[str, int | None, str | None]:
    digits, label = match["version"], match["label"]
    if digits and (len(digits) > 20 or int(digits) > _LARGEST_VERSION):
        raise Refusal(f"Failed to convert version: {digits} to numeric.")
    return unquote(match["name"]), int(digits) if digits else None, unquote(label) if label else None


def _status(versions: list[Hosted]) -> bytes:
    statuses: list[dict[str, Any]] = [
        {
            "version": str(hosted.plan.version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for hosted in versions
    ]
    return orjson.dumps({"model_version_status": statuses}, option=orjson.OPT_INDENT_2)
