"""`:classify` and `:regress`: JSON objects become `tf.Example` records, scores and labels become rows.

Only signatures that say `tensorflow/serving/classify` or `…/regress` take them; those run on TensorFlow.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from ..http.errors import HttpError
from .json_text import RepeatedNames, kind, shown
from .prediction_request import Prediction, signature_name
from .prediction_response import number_fragment
from .signature import CLASSIFY, REGRESS, Signature
from .tensors import Array, bytes_of, is_base64, is_list, is_object

_METHODS = {"classify": CLASSIFY, "regress": REGRESS}


@dataclass(frozen=True)
class Examples:
    """What a client asks for.

    Attributes:
        prediction: The records, as a tensor for the signature.
        verb: `classify` or `regress`.
    """

    prediction: Prediction
    verb: str

    def to_json(self, outputs: Mapping[str, Array]) -> bytes:
        """Write the answer.

        Raises:
            HttpError: The signature gave something else than one row an example.
        """
        count = len(self.prediction.tensors["inputs"])
        result = _classes(outputs, count) if self.verb == "classify" else _values(outputs, count)
        return orjson.dumps({"results": result}, option=orjson.OPT_SERIALIZE_NUMPY)


def read_examples(body: Mapping[str, Any], signatures: Mapping[str, Signature], verb: str) -> Examples:
    """Read a `:classify` or `:regress` body.

    Args:
        body: The JSON object that was sent.
        signatures: The model's signatures by name.
        verb: Which of the two.

    Raises:
        HttpError: The body or the signature does not fit.
    """
    context = _record(body["context"]) if "context" in body else b""
    if "examples" not in body:
        raise HttpError(
            f"JSON Value: {shown(body)} When method is {verb}, key 'examples' is expected and was not found"
        )
    examples = body["examples"]
    if not is_list(examples):
        raise HttpError(f"JSON Value: {shown(body)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise HttpError(f"JSON Value: {shown(body)} 'examples' value is an empty array")
    # Two serialized records one after the other are one record with the features of both; the later ones win.
    records = np.array([context + _record(example) for example in examples], object)
    signature = _signature(signature_name(body), signatures, verb)
    return Examples(Prediction(signature, {"inputs": records}, rows=True), verb)


def _signature(name: str, signatures: Mapping[str, Signature], verb: str) -> Signature:
    signature = signatures.get(name)
    if signature is None:
        raise HttpError(f'Serving signature name: "{name}" not found in signature def')
    task = "classification" if verb == "classify" else "regression"
    if signature.method != _METHODS[verb]:
        raise HttpError(f"Expected {task} signature method_name to be {_METHODS[verb]}. Was: {signature.method}")
    if list(signature.inputs) != ["inputs"] or signature.inputs["inputs"].dtype != "string":
        raise HttpError(f"No {task} inputs found in SignatureDef: {name}")
    return signature


def _record(value: Any) -> bytes:
    if not is_object(value):
        raise HttpError(f"Example must be JSON object but got JSON {kind(value)}")
    example: Any = importlib.import_module("tensorflow.core.example.example_pb2").Example()
    members = value.last if isinstance(value, RepeatedNames) else value
    for name, content in members.items():
        feature = example.features.feature[name]
        for element in content if is_list(content) else [content]:
            _add(feature, name, element)
    return example.SerializeToString()


def _add(feature: Any, name: str, value: Any) -> None:
    if isinstance(value, str) or is_base64(value):
        _list(feature, name, "bytes_list").append(bytes_of(value))
    elif isinstance(value, int):  # true and false are 1 and 0
        if value >= 2**63:
            raise HttpError(f"Feature: {name} has uint64 element. Only int64 is supported.")
        _list(feature, name, "int64_list").append(int(value))
    elif isinstance(value, float):
        with np.errstate(over="ignore"):
            _list(feature, name, "float_list").append(float(np.float32(value)))
    else:
        raise HttpError(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")


def _list(feature: Any, name: str, field: str) -> Any:
    present = feature.WhichOneof("kind")
    if present not in (None, field):
        raise HttpError(f"Unexpected element type in feature: {name} expecting type: {present.removesuffix('_list')}")
    return getattr(feature, field).value


def _classes(outputs: Mapping[str, Array], count: int) -> list[Any]:
    """A list of label and score for each example."""
    labels, scores = outputs.get("classes"), outputs.get("scores")
    for tensor in (labels, scores):
        if tensor is not None and (tensor.ndim != 2 or len(tensor) != count):
            raise HttpError(f"Expected Tensor shape: [{count} num_classes] but got {list(tensor.shape)}")
    if labels is None and scores is None:
        raise HttpError('Expected classification signature outputs to contain at least one of "classes" or "scores"')
    if labels is not None and scores is not None and labels.shape != scores.shape:
        raise HttpError("Tensors class and score should match in dim_size(1)")
    width = next(tensor.shape[1] for tensor in (labels, scores) if tensor is not None)
    return [
        [
            [
                "" if labels is None else _text(labels[row, column]),
                0.0 if scores is None else number_fragment(scores[row, column]),
            ]
            for column in range(width)
        ]
        for row in range(count)
    ]


def _values(outputs: Mapping[str, Array], count: int) -> list[Any]:
    tensor = outputs.get("outputs")
    if tensor is None:
        raise HttpError('Expected regression signature outputs to contain "outputs"')
    if tensor.shape not in ((count,), (count, 1)):
        raise HttpError(
            f"Expected output Tensor shape to be either [{count}] or [{count}, 1] but got {list(tensor.shape)}"
        )
    return [number_fragment(value) for value in tensor.ravel()]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise HttpError("a class label holds bytes that are not UTF-8", 500) from exc
