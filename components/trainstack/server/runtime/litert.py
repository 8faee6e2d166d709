"""One signature as a LiteRT model: an interpreter that takes any number of rows. Only this module knows LiteRT."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..codec.signature import Signature
from ..codec.tensors import Array
from ..http.errors import HttpError
from .generated_inputs import open_shape

# Where in LiteRT's own source, and at which node of the converted graph, is not what is wrong.
_SOURCE = re.compile(r"\S+\.(?:cc|h):\d+ *|Node number \d+ .*")


class LiteRtSignature:
    """A converted signature; not for two threads at once.

    Two interpreters share the file: one is always ready for a single row, the other takes every other shape.

    Args:
        path: The converted model.
        signature: What it takes and gives.
        threads: Threads that one call may use.
        no_rows: What is answered when no row is sent, which LiteRT itself cannot compute: outputs, or a refusal.

    Raises:
        ValueError: LiteRT cannot load it.
    """

    def __init__(
        self,
        path: Path,
        signature: Signature,
        *,
        threads: int,
        no_rows: Mapping[str, Array] | HttpError | None = None,
    ) -> None:
        self._path = path
        self._signature = signature
        self._threads = threads
        self._no_rows = no_rows
        self._single = self._interpreter()
        self._inputs, self._outputs = self._indexes(self._single)
        self._single.allocate_tensors()
        self._single_shapes = {
            name: tuple(self._single.get_tensor(index).shape) for name, index in self._inputs.items()
        }
        self._any: Any = None
        self._shapes: dict[str, tuple[int, ...]] = {}

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Run it.

        Args:
            tensors: Input name to tensor, of the declared types and shapes.

        Raises:
            HttpError: LiteRT refused.
        """
        shapes = {name: tensors[name].shape for name in self._inputs}
        if any(0 in shape for shape in shapes.values()):
            return self._answer_no_rows(shapes)
        try:
            interpreter = self._single if shapes == self._single_shapes else self._sized(shapes)
            for name, index in self._inputs.items():
                interpreter.set_tensor(index, tensors[name])
            interpreter.invoke()
        except (RuntimeError, ValueError) as exc:
            self._shapes = {}
            lines = [_SOURCE.sub("", line).strip() for line in str(exc).splitlines()]
            raise HttpError(next(filter(None, lines), "the model refuses this input")) from exc
        try:
            return {name: interpreter.get_tensor(index) for name, index in self._outputs.items()}
        except ValueError:
            # An output without values has no memory to read.
            return {name: _read(interpreter, index) for name, index in self._outputs.items()}

    def _answer_no_rows(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        if isinstance(self._no_rows, Mapping) and all(
            shape == open_shape(self._signature.inputs[name], 0) for name, shape in shapes.items()
        ):
            return {name: tensor.copy() for name, tensor in self._no_rows.items()}
        if isinstance(self._no_rows, HttpError):
            raise HttpError(str(self._no_rows), self._no_rows.status)
        raise HttpError("an input holds no values")

    def _sized(self, shapes: dict[str, tuple[int, ...]]) -> Any:
        if self._any is None:
            self._any = self._interpreter()
        if shapes != self._shapes:
            for name, index in self._inputs.items():
                self._any.resize_tensor_input(index, shapes[name])
            self._any.allocate_tensors()
            self._shapes = shapes
        return self._any

    def _interpreter(self) -> Any:
        # No type stubs, and not installed where this project is type-checked.
        module: Any = importlib.import_module("ai_edge_litert.interpreter")
        return module.Interpreter(os.fspath(self._path), num_threads=self._threads)

    def _indexes(self, interpreter: Any) -> tuple[dict[str, int], dict[str, int]]:
        runner = interpreter.get_signature_runner(self._signature.name)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        if inputs.keys() != self._signature.inputs.keys() or outputs.keys() != self._signature.outputs.keys():
            raise ValueError(f"{self._path} has other inputs and outputs than signature {self._signature.name}")
        return (
            {name: int(detail["index"]) for name, detail in inputs.items()},
            {name: int(outputs[name]["index"]) for name in self._signature.outputs},
        )


def _read(interpreter: Any, index: int) -> Array:
    """An output, also one without values."""
    detail = next(detail for detail in interpreter.get_output_details() if detail["index"] == index)
    shape = tuple(int(size) for size in detail["shape"])
    return np.empty(shape, detail["dtype"]) if 0 in shape else interpreter.get_tensor(index)
