"""A model version in memory: each signature on LiteRT where it was found to answer alike, else on TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..codec.signature import Signature
from ..codec.tensors import Array
from ..http.errors import HttpError
from ..runtime.convert import MANIFEST
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
        self._independent = {name for name, declaration in declarations.items() if declaration["independent_rows"]}
        self._converted = {
            name: LiteRtSignature(conversion / declaration["file"], self.signatures[name], threads=threads)
            for name, declaration in declarations.items()
            if declaration["file"]
        }
        needed = any(
            name not in self._converted and declaration.inputs for name, declaration in self.signatures.items()
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
        converted = self._converted.get(signature.name)
        if converted is not None:
            return converted.run(tensors)
        if self._tensorflow is None:
            raise HttpError(f'Serving signature name: "{signature.name}" cannot be run')
        return self._tensorflow.run(signature, tensors)
