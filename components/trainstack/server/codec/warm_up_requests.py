"""A model's own warm-up requests: `assets.extra/tf_serving_warmup_requests`, a TFRecord file of `PredictionLog`.

https://www.tensorflow.org/tfx/serving/saved_model_warmup: predictions, classifications, regressions are played before
the first client's request; other kinds of logs are passed over.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from ..http.errors import HttpError
from .prediction_request import Prediction
from .protobuf_messages import SERVING, message
from .signature import DEFAULT, Signature
from .tensor_proto import check_shapes, read_tensors

_log = logging.getLogger("trainstack.server")
FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# As many as TensorFlow Serving plays.
_MOST = 1000
_LENGTH = struct.Struct("<Q")
_CHECKSUM = 4


def read(path: Path, signatures: Mapping[str, Signature]) -> list[Prediction]:
    """The warm-up requests of a model; none where it has no such file.

    Args:
        path: The model's folder.
        signatures: Its signatures.

    Raises:
        ValueError: The file is damaged, or one of its requests fits no signature.
    """
    file = path / FILE
    if not file.is_file():
        return []
    predictions: list[Prediction] = []
    for number, record in enumerate(_records(file)):
        try:
            log = message(SERVING, "PredictionLog").FromString(record)
            prediction = _prediction(log, signatures)
        except (HttpError, DecodeError) as exc:
            raise ValueError(f"warm-up request {number} of {FILE}: {exc}") from exc
        if prediction is None:
            _log.info("warm-up request %d is of a kind that is not played", number)
        else:
            predictions.append(prediction)
    return predictions


def _records(file: Path) -> Iterator[bytes]:
    data = file.read_bytes()
    at = 0
    for _ in range(_MOST):
        if at == len(data):
            return
        start = at + _LENGTH.size + _CHECKSUM
        size = _LENGTH.unpack_from(data, at)[0] if start <= len(data) else len(data)
        if start + size + _CHECKSUM > len(data):
            raise ValueError(f"{FILE} is no TFRecord file, or cut short")
        yield data[start : start + size]
        at = start + size + _CHECKSUM
    _log.info("only the first %d warm-up requests are played", _MOST)


def _prediction(log: Any, signatures: Mapping[str, Signature]) -> Prediction | None:
    kind = log.WhichOneof("log_type")
    if kind is None:
        return None
    request = getattr(log, kind).request
    name = request.model_spec.signature_name or DEFAULT
    signature = signatures.get(name)
    if signature is None:
        raise HttpError(f"the model has no signature {name!r}")
    if kind != "predict_log":
        chosen = request.input.WhichOneof("kind")
        examples = [] if chosen is None else list(getattr(request.input, chosen).examples)
        context = request.input.example_list_with_context.context
        records = np.empty(len(examples), object)
        records[:] = [context + example for example in examples]
        tensors = dict.fromkeys(signature.inputs, records)
        check_shapes(tensors, signature)
    else:
        missing = set(signature.inputs) - set(request.inputs)
        if missing:
            raise HttpError(f"input {min(missing)!r} is missing")
        tensors = read_tensors(request.inputs, signature)
    return Prediction(signature, tensors, rows=False)
