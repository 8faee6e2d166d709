"""A model version in memory: each signature on LiteRT where it was found to answer alike, else on TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..codec.signature import Signature
from ..codec.tensors import Array
from ..http.errors import HttpError
from ..runtime.convert import MANIFEST, NO_ROWS, unserved
from ..runtime.litert import LiteRtSignature
from ..runtime.saved_model import SavedModel


class Servable:
    """A loaded model version.

    TensorFlow is loaded only where a signature needs it.

    Args:
        path: The folder with `saved_model.pb`.
        conversion: The folder that `convert` wrote for it.
        threads: Threads that one call may use.

    Attributes:
        signatures: What it takes and gives, by name.
        metadata: The SavedModel's signatures in protobuf's JSON form.
        runtime: `litert`, `tensorflow` or `litert+tensorflow`.
        runtime_reason: Why.
        unserved: Signatures that nobody can call, and why.

    Raises:
        ValueError: The model cannot be loaded.
    """

    def __init__(self, path: Path, conversion: Path, *, threads: int) -> None:
        manifest: dict[str, Any] = json.loads((conversion / MANIFEST).read_bytes())
        declarations: dict[str, dict[str, Any]] = manifest["signatures"]
        self.metadata: Mapping[str, Any] = manifest["metadata"]
        self.runtime: str = manifest["runtime"]
        self.runtime_reason: str = manifest["runtime_reason"]
        self.signatures = {name: Signature.from_json(name, declaration) for name, declaration in declarations.items()}
        self.unserved: Mapping[str, str] = unserved(declarations)
        self._independent = {name for name, declaration in declarations.items() if declaration["independent_rows"]}
        self._converted = {
            name: LiteRtSignature(
                conversion / declaration["file"],
                self.signatures[name],
                threads=threads,
                no_rows=_no_rows(conversion, declaration, self.signatures[name]),
            )
            for name, declaration in declarations.items()
            if declaration["file"]
        }
        needed = any(
            declaration.inputs and name not in self._converted and name not in self.unserved
            for name, declaration in self.signatures.items()
        )
        self._tensorflow = SavedModel(path, threads=threads) if needed else None

    def on_litert(self, signature: Signature) -> bool:
        """Whether LiteRT runs it: quick, and one call at a time."""
        return signature.name in self._converted

    def has_independent_rows(self, signature: Signature) -> bool:
        """Whether rows of several requests may share one call."""
        return signature.name in self._independent

    def run(self, signature: Signature, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Run a signature.

        Args:
            signature: One of `signatures`.
            tensors: Input name to tensor, of the declared types and shapes.

        Returns:
            Output name to tensor.

        Raises:
            HttpError: The runtime refused; the text is its reason.
        """
        if reason := self.unserved.get(signature.name):
            raise HttpError(f"signature {signature.name!r} cannot be served: {reason}", 501)
        converted = self._converted.get(signature.name)
        if converted is not None:
            return converted.run(tensors)
        if self._tensorflow is None:
            raise HttpError(f'Serving signature name: "{signature.name}" cannot be run')
        return self._tensorflow.run(signature, tensors)


def _no_rows(
    conversion: Path, declaration: Mapping[str, Any], signature: Signature
) -> dict[str, Array] | HttpError | None:
    """What a signature answers when no row is sent."""
    if declaration["no_rows_refusal"] is not None:
        message, status = declaration["no_rows_refusal"]
        return HttpError(message, status)
    with np.load(conversion / declaration["file"].replace(".tflite", NO_ROWS)) as arrays:
        return {name: arrays[f"arr_{index}"] for index, name in enumerate(signature.outputs)}
