"""Make LiteRT models of a SavedModel's signatures, and write down what may serve which: `conversion.json`.

Runs as a process of its own (`python …/serving convert …`), before a server starts: it needs TensorFlow, the
server's workers then mostly do not. `conversion` starts it and reads what it wrote.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..codec import warm_up_requests
from ..codec.prediction_request import read_prediction
from ..codec.signature import CLASSIFY, DEFAULT, REGRESS, Signature
from ..codec.tensors import is_object
from ..http.errors import HttpError
from .comparison import compare, rows_are_independent, same_when_not_finite
from .generated_inputs import Inputs
from .litert import LiteRtSignature
from .saved_model import SavedModel
from .trial import Trial, attempt

MANIFEST = "conversion.json"
NO_ROWS = ".no_rows.npz"
# Samples of a signature that two runtimes are compared on; a file of warm-up requests has up to a thousand.
_MOST_SAMPLES = 16
ATTEMPTED = "attempted"
_log = logging.getLogger("trainstack.server")
_TYPES = frozenset({"float", "double", "int8", "uint8", "int16", "int32", "uint32", "int64", "bool"})


def main(arguments: Sequence[str]) -> int:
    """Convert.

    Returns:
        The exit code: 1 when the model cannot be served at all; the reason is in the log.
    """
    parser = argparse.ArgumentParser(prog="serving convert", description="Make LiteRT models of a SavedModel.")
    parser.add_argument("--model-path", type=Path, required=True, help="folder with saved_model.pb")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--sample-input", type=Path, help="file with JSON to compare on")
    parser.add_argument("--skip", action="append", default=[], help="signature not to try, with TensorFlow then")
    parser.add_argument("--runtime", choices=["auto", "tensorflow"], default="auto", help="tensorflow: convert nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        model = SavedModel(options.model_path, threads=1)
        samples = _samples(model, json.loads(options.sample_input.read_bytes()) if options.sample_input else None)
    except (ValueError, OSError) as exc:
        _log.error("%s", exc)
        return 1
    signatures: dict[str, Any] = {}
    for signature in model.signatures.values():
        own_samples = [inputs for of, inputs in samples if of is signature][:_MOST_SAMPLES]
        verdict = _Verdict(model, signature, options.output, own_samples)
        if not signature.inputs:
            verdict.reason = "it takes no inputs"
        elif verdict.trial.unserved:
            verdict.reason = "it is not served"
        elif options.runtime == "tensorflow":
            verdict.reason = "TensorFlow was asked for"
        elif signature.name in options.skip:
            verdict.reason = "the converter crashed on it"
        else:
            # Should the converter take this process along, the next one is told to leave this signature out.
            (options.output / ATTEMPTED).write_text(signature.name)
            verdict.reach()
        signatures[signature.name] = {**signature.to_json(), **verdict.to_json()}
    (options.output / ATTEMPTED).unlink(missing_ok=True)
    if refusal := _unservable(signatures):
        _log.error("%s", refusal)
        return 1
    manifest = {"metadata": model.metadata, "signatures": signatures, **_summary(signatures)}
    (options.output / MANIFEST).write_text(json.dumps(manifest))
    return 0


class _Verdict:
    """What may serve one signature, and why."""

    def __init__(self, model: SavedModel, signature: Signature, folder: Path, samples: list[Inputs]) -> None:
        self._model = model
        self._signature = signature
        self._folder = folder
        self._samples = samples
        self.trial = attempt(self._run_tensorflow, signature, model.operations(signature), samples)
        self.reason = ""
        self._file: str | None = None
        self._rows = False
        self._finite_only = False
        self._overflow: float | None = None

    def reach(self) -> None:
        """Convert, compare, decide."""
        self.reason = _unfit(self._signature)
        if self.reason:
            return
        run = self._run_tensorflow
        self._rows = rows_are_independent(run, self._signature)
        name = f"{len(list(self._folder.glob('*.tflite')))}.tflite"
        try:
            content = _converted(self._model.path, self._signature.name)
            (self._folder / name).write_bytes(content)
            no_rows = self.trial.no_rows
            candidate = LiteRtSignature(self._folder / name, self._signature, threads=1, no_rows=no_rows)
        except Exception as exc:  # noqa: BLE001 (the converter raises anything; TensorFlow serves then)
            self.reason = f"it does not convert ({_first_line(exc)})"
            return
        comparison = compare(run, candidate.run, self._signature, self._samples)
        self.reason = comparison.difference
        if not self.reason:
            self._file = name
            if isinstance(no_rows, dict):
                np.savez(
                    self._folder / name.replace(".tflite", NO_ROWS), *(no_rows[key] for key in self._signature.outputs)
                )
            self._overflow = comparison.overflow
            self._finite_only = not same_when_not_finite(run, candidate.run, self._signature)
        else:
            (self._folder / name).unlink()

    def to_json(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {
            "file": self._file,
            "reason": self.reason,
            "unserved": self.trial.unserved,
            "note": self.trial.note,
            "no_rows_refusal": _refusal(self.trial),
            "independent_rows": self._rows,
            "finite_only": self._finite_only,
            "overflow": self._overflow,
        }

    def _run_tensorflow(self, tensors: Any) -> Any:
        return self._model.run(self._signature, tensors)


def unserved(signatures: Mapping[str, Any]) -> dict[str, str]:
    """The signatures of a manifest that nobody can call, and why."""
    return {name: verdict["unserved"] for name, verdict in signatures.items() if verdict["unserved"]}


def _unservable(signatures: Mapping[str, Any]) -> str:
    """Why there is nothing to serve: what requests call that name no signature, or nothing at all, can be called."""
    reasons = unserved(signatures)
    callable_names = [name for name, verdict in signatures.items() if verdict["inputs"]]
    if DEFAULT in reasons:
        return f"signature {DEFAULT} cannot be served: {reasons[DEFAULT]}"
    if reasons and len(reasons) == len(callable_names):
        return "; ".join(f"signature {name} cannot be served: {reason}" for name, reason in reasons.items())
    return ""


def _refusal(trial: Trial) -> list[Any] | None:
    refusal = trial.no_rows
    return [str(refusal), refusal.status] if isinstance(refusal, HttpError) else None


def _samples(model: SavedModel, sample: Any) -> list[tuple[Signature, Inputs]]:
    """The registered sample input and the model's own warm-up requests, as tensors.

    Raises:
        ValueError: The model refuses one.
    """
    samples: list[tuple[Signature, Inputs]] = []
    if sample is not None:
        try:
            prediction = read_prediction(sample if is_object(sample) else {"instances": sample}, model.signatures)
            model.run(prediction.signature, prediction.tensors)
        except HttpError as exc:
            raise ValueError(f"the model refuses its sample input: {exc}") from exc
        samples.append((prediction.signature, prediction.tensors))
    for number, request in enumerate(warm_up_requests.read(model.path, model.signatures)):
        try:
            model.run(request.signature, request.tensors)
        except HttpError as exc:
            raise ValueError(f"the model refuses its warm-up request {number}: {exc}") from exc
        samples.append((request.signature, request.tensors))
    return samples


def _unfit(signature: Signature) -> str:
    """Why a signature is nothing for LiteRT, as its declaration tells already."""
    if signature.method in (CLASSIFY, REGRESS):
        return "it takes tf.Example records"
    for role, side in (("input", signature.inputs), ("output", signature.outputs)):
        for name, spec in side.items():
            if spec.dtype not in _TYPES:
                return f"{role} {name} is of type {spec.dtype}"
            if spec.shape is None:
                return f"{role} {name} is of unknown rank"
            if role == "input" and -1 in spec.shape[1:]:
                return f"{role} {name} has an unknown dimension beside the batch: {list(spec.shape)}"
    return ""


def _converted(path: Path, signature: str) -> bytes:
    tf: Any = importlib.import_module("tensorflow")
    converter = tf.lite.TFLiteConverter.from_saved_model(os.fspath(path), signature_keys=[signature])
    return converter.convert()


def _first_line(exc: Exception) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    # The converter's messages end in what stood in its way.
    telling = next((line for line in lines if "ops" in line.lower() or "unsupported" in line.lower()), "")
    return (telling or (lines[0] if lines else type(exc).__name__))[:200]


def _summary(signatures: dict[str, Any]) -> dict[str, str]:
    """The runtime as a whole: LiteRT, TensorFlow, or both, and why."""
    callable_signatures = {
        name: verdict for name, verdict in signatures.items() if verdict["inputs"] and not verdict["unserved"]
    }
    converted = [name for name, verdict in callable_signatures.items() if verdict["file"]]
    others = [f"{name}: {verdict['reason']}" for name, verdict in callable_signatures.items() if not verdict["file"]]
    notes = [
        f"{name}: NaN and infinite inputs may be answered otherwise than by TensorFlow"
        for name in converted
        if callable_signatures[name]["finite_only"]
    ]
    for name in converted:
        if (size := callable_signatures[name]["overflow"]) is not None:
            notes.append(
                f"{name}: where TensorFlow's answer to numbers from {size:.0e} on is not finite, it may differ"
            )
    notes += [f"{name}: {verdict['note']}" for name, verdict in callable_signatures.items() if verdict["note"]]
    notes += [f"not served: {name}, as {reason}" for name, reason in unserved(signatures).items()]
    if DEFAULT not in callable_signatures and len(callable_signatures) > 1:
        notes.append(f"there is no {DEFAULT}: requests name one of {', '.join(callable_signatures)} as signature_name")
    equal = (
        f"LiteRT answers {', '.join(converted)} as TensorFlow does, on the sample input and made up ones of every size"
    )
    if not others:
        runtime = "litert" if converted else "tensorflow"
        reasons = [equal] if converted else ["no signature takes inputs"]
    elif converted:
        runtime, reasons = "litert+tensorflow", [equal, f"TensorFlow serves {'; '.join(others)}"]
    else:
        runtime, reasons = "tensorflow", others
    return {"runtime": runtime, "runtime_reason": "; ".join([*reasons, *notes])}
