"""The Open Inference Protocol, version 2, over the versions of one model; knows nothing of HTTP servers.

The protocol: https://github.com/kserve/open-inference-protocol; tensors as bytes: Triton's extension
`binary_tensor_data`. A signature other than the default one is chosen by the parameter `signature_name`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from ..http.errors import Refusal
from ..model.model_set import Asked, Hosted, Hosting
from ..model.signature import DEFAULT, Signature
from .inference_tensors import DATATYPES, read_inputs, write_outputs
from .json_text import parse_object, shown
from .prediction_request import Prediction
from .tensors import Array, is_list, is_object

_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<verb>/infer|/ready)?")
_BINARY_HEAD = b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"
_SERVER = {"name": "trainstack", "version": "2", "extensions": ["binary_tensor_data"]}


class InferenceApi:
    """Answers for the versions of one hosting.

    Args:
        hosting: The versions.
    """

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting

    def get(self, path: str) -> tuple[bytes, Hosted]:
        """Answer a GET: health, and what server and model are.

        Raises:
            Refusal: There is no such path, model or version.
        """
        hosted = self._hosting.main
        simple = {"/v2": _SERVER, "/v2/health/live": {"live": True}, "/v2/health/ready": {"ready": True}}
        if path.rstrip("/") in simple:
            return orjson.dumps(simple[path.rstrip("/")]), hosted
        match = _MODEL.fullmatch(path)
        if match is None or match["verb"] == "/infer":
            raise Refusal(f"Not found: GET {path}", 404)
        hosted = self._served(match)
        if match["verb"] == "/ready":
            return orjson.dumps({"name": self._hosting.plan.name, "ready": True}), hosted
        signature = _signature(hosted, {})
        about = {
            "name": self._hosting.plan.name,
            "versions": [str(version) for version in sorted(self._hosting.versions)],
            "platform": "tensorflow_savedmodel",
            "inputs": _described(signature.inputs),
            "outputs": _described(signature.outputs),
        }
        return orjson.dumps(about), hosted

    def read(self, path: str, body: bytes, header_length: str | None) -> Asked:
        """Read a POST: `/infer`.

        Args:
            path: The path as sent, still percent-encoded, without the query.
            body: The request's body: JSON, and after it the tensors that come as bytes.
            header_length: The header `Inference-Header-Content-Length`: bytes of JSON in the body; None for all.

        Raises:
            Refusal: There is no such path, model or version, or the body does not fit.
        """
        match = _MODEL.fullmatch(path)
        if match is None or match["verb"] != "/infer":
            raise Refusal(f"Not found: POST {path}", 404)
        hosted = self._served(match)
        split = _split(header_length, len(body))
        question = parse_object(body[:split] if split < len(body) else body)
        _check(question)
        parameters = question.get("parameters", {})
        signature = _signature(hosted, parameters)
        prediction = Prediction(signature, read_inputs(question["inputs"], body, split, signature), rows=False)
        wanted = _wanted(question, signature)
        microseconds = parameters.get("timeout")
        if isinstance(microseconds, bool) or not isinstance(microseconds, int | float | None):
            raise Refusal("parameter 'timeout' must be a number of microseconds")
        about: dict[str, Any] = {
            "model_name": self._hosting.plan.name,
            "model_version": str(hosted.plan.version),
        }
        if "id" in question:
            about["id"] = question["id"]

        def write(outputs: Mapping[str, Array]) -> tuple[bytes, bytes]:
            written, json_size = write_outputs(about, {name: outputs[name] for name in wanted}, wanted)
            if json_size is None:
                return hosted.json_head, written
            return _BINARY_HEAD % json_size + hosted.head, written

        seconds = microseconds / 1e6 if microseconds else None
        return Asked(hosted, prediction, write, match["version"] is not None, seconds)

    def _served(self, match: re.Match[str]) -> Hosted:
        name, version = unquote(match["name"]), match["version"]
        if name != self._hosting.plan.name:
            raise Refusal(f"there is no model {name!r}: this server serves {self._hosting.plan.name!r}", 404)
        if version is None:
            return self._hosting.chosen()
        hosted = self._hosting.versions.get(int(version)) if re.fullmatch(r"\d{1,18}", version) else None
        if hosted is None:
            raise Refusal(f"there is no version {unquote(version)} of model {name!r}", 404)
        return hosted


def _split(header_length: str | None, size: int) -> int:
    if header_length is None:
        return size
    if not re.fullmatch(r"\d{1,18}", header_length) or int(header_length) > size:
        raise Refusal(f"Inference-Header-Content-Length {header_length!r} is no length within the body's {size} bytes")
    return int(header_length)


def _check(question: Mapping[str, Any]) -> None:
    """What does not depend on the model."""
    for key in ("inputs", "outputs"):
        there = question.get(key, [])
        if not is_list(there) or not all(is_object(one) and isinstance(one.get("name"), str) for one in there):
            raise Refusal(f"{key!r} must be a list of objects with a 'name'")
        for one in there:
            if not is_object(one.get("parameters", {})):
                raise Refusal(f"'parameters' of {one['name']!r} must be an object")
    if "inputs" not in question:
        raise Refusal("'inputs' is missing")
    if not is_object(question.get("parameters", {})):
        raise Refusal("'parameters' must be an object")
    if not isinstance(question.get("id", ""), str):
        raise Refusal("'id' must be a string")


def _signature(hosted: Hosted, parameters: Mapping[str, Any]) -> Signature:
    signatures = hosted.servable.signatures
    name = parameters.get("signature_name")
    if name is None:
        callable_ones = sorted(one for one, signature in signatures.items() if signature.inputs)
        if not callable_ones:
            raise Refusal("the model has no signature that takes inputs")
        name = DEFAULT if DEFAULT in callable_ones else callable_ones[0]
    signature = signatures.get(name) if isinstance(name, str) else None
    if signature is None or not signature.inputs:
        raise Refusal(f"there is no signature {shown(name)}")
    return signature


def _wanted(question: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    """The outputs that are asked for, and whether each is to come as bytes."""
    binary = question.get("parameters", {}).get("binary_data_output", False) is True
    asked: list[dict[str, Any]] = question.get("outputs") or [{"name": name} for name in signature.outputs]
    wanted: dict[str, bool] = {}
    for one in asked:
        name, parameters = one["name"], one.get("parameters", {})
        if name not in signature.outputs:
            there = ", ".join(signature.outputs)
            raise Refusal(f"there is no output {name!r}: signature {signature.name!r} gives {there}")
        if name in wanted:
            raise Refusal(f"output {name!r} is asked for twice")
        if parameters.get("classification"):
            raise Refusal(f"output {name!r}: the classification extension is not served", 501)
        wanted[name] = parameters.get("binary_data", binary) is True
    return wanted


def _described(tensors: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": DATATYPES.get(spec.dtype, spec.dtype.upper()), "shape": list(spec.shape or (-1,))}
        for name, spec in tensors.items()
    ]
