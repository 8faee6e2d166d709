"""A SavedModel in memory: loaded once, run by signature, by TensorFlow itself."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..codec.signature import Signature, TensorSpec
from ..codec.tensors import Array
from ..http.errors import HttpError

_SERVE_TAG = "serve"
# TensorFlow's canonical codes, to the HTTP status that TensorFlow Serving gives them; all others are 500.
_STATUSES = {
    1: 499,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    14: 503,
    16: 401,
}
# Lines of TensorFlow's messages that say where in its or the author's code, not what is wrong.
_TRACE = re.compile(r"^(Graph execution error|Detected at node|<stack traces unavailable>|\s|$)")
_NODE = re.compile(r"\s*(\[\[\{\{node .*?\}\}\]\]|\[Op:[^\]]*\])")


class SavedModel:
    """A loaded SavedModel.

    Args:
        path: The folder with `saved_model.pb`.
        threads: Threads that one operation may use, and operations that may run side by side.

    Raises:
        ValueError: The folder holds no SavedModel that can be served.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        # TensorFlow has no type stubs, and is not installed where this project is type-checked.
        tf: Any = importlib.import_module("tensorflow")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._tf = tf
        self.path = path
        definitions = _signature_definitions(path)
        self.metadata: Mapping[str, Any] = {
            "signature_def": {name: _as_json(definition) for name, definition in sorted(definitions.items())}
        }
        self.signatures: Mapping[str, Signature] = {
            name: Signature(
                name, self._specs(definition.inputs), self._specs(definition.outputs), definition.method_name
            )
            for name, definition in sorted(definitions.items())
        }
        # Kept: the functions hold only weak references to the variables of the object they came from.
        try:
            self._loaded = tf.saved_model.load(os.fspath(path), tags=[_SERVE_TAG])
        except Exception as exc:  # whatever a model's own objects raise
            raise ValueError(f"{path} does not load: {_reason(str(exc))}") from exc
        self._functions: dict[str, Callable[..., Any]] = dict(self._loaded.signatures.items())

    def run(self, signature: Signature, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Run a signature.

        Args:
            signature: One of `signatures`.
            tensors: Input name to tensor, of the declared types and shapes.

        Returns:
            Output name to tensor.

        Raises:
            HttpError: TensorFlow refused; the text is its reason, without its stack trace.
        """
        tf = self._tf
        function = self._functions.get(signature.name)
        if function is None:
            raise HttpError(f'Serving signature name: "{signature.name}" cannot be run')
        try:
            fed = {
                name: tf.constant(tensor, tf.string if tensor.dtype.kind == "O" else None)
                for name, tensor in tensors.items()
            }
            outputs: Mapping[str, Any] = function(**fed)
        except tf.errors.OpError as exc:
            raise HttpError(_reason(exc.message), _STATUSES.get(exc.error_code, 500)) from exc
        except (ValueError, TypeError) as exc:
            raise HttpError(f"signature {signature.name!r} refuses this input: {_reason(str(exc))}") from exc
        return {name: _to_numpy(outputs[name]) for name in signature.outputs}

    def operations(self, signature: Signature) -> set[str]:
        """The kinds of operations that a signature may come to, also in functions that it calls."""
        function: Any = self._functions.get(signature.name)
        if function is None:
            return set()
        graph = function.graph.as_graph_def()
        functions = {entry.signature.name: entry.node_def for entry in graph.library.function}
        kinds: set[str] = set()
        reached: set[str] = set()
        waiting = [graph.node]
        while waiting:
            for node in waiting.pop():
                kinds.add(str(node.op))
                called = {node.op, *(attr.func.name for attr in node.attr.values())}
                called.update(entry.name for attr in node.attr.values() for entry in attr.list.func)
                new = called.intersection(functions) - reached
                reached |= new
                waiting += [functions[name] for name in new]
        return kinds

    def _specs(self, infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
        specs: dict[str, TensorSpec] = {}
        for name, info in sorted(infos.items()):
            shape = info.tensor_shape
            sizes = None if shape.unknown_rank else tuple(int(dim.size) for dim in shape.dim)
            specs[name] = TensorSpec(_composite(info) or _type_name(self._tf, info.dtype), sizes)
        return specs


def _signature_definitions(path: Path) -> dict[str, Any]:
    file = path / "saved_model.pb"
    if not file.is_file():
        raise ValueError(f"{path} is not a SavedModel: it has no saved_model.pb")
    proto = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    try:
        proto.ParseFromString(file.read_bytes())
    except importlib.import_module("google.protobuf.message").DecodeError as exc:
        raise ValueError(f"{file} is damaged: {exc}") from exc
    for graph in proto.meta_graphs:
        if _SERVE_TAG in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise ValueError(f"{path} has no graph tagged {_SERVE_TAG!r}: export it with tf.saved_model.save")


def _as_json(definition: Any) -> dict[str, Any]:
    """A SignatureDef as TensorFlow Serving prints it: proto field names, long numbers as strings, no field left out."""
    write = importlib.import_module("google.protobuf.json_format").MessageToDict
    # protobuf 5 renamed the option.
    every = "always_print_fields_with_no_presence"
    if every not in inspect.signature(write).parameters:
        every = "including_default_value_fields"
    return write(definition, preserving_proto_field_name=True, **{every: True})


def _composite(info: Any) -> str:
    """The kind of a tensor that is made of several; empty for others."""
    encoding = info.WhichOneof("encoding")
    if encoding == "composite_tensor":
        return info.composite_tensor.type_spec.type_spec_class_name.removesuffix("Spec") or "composite tensor"
    return "SparseTensor" if encoding == "coo_sparse" else ""


def _type_name(tf: Any, number: int) -> str:
    try:
        return _PROTO_NAMES.get(number) or str(tf.dtypes.as_dtype(number).name)
    except TypeError:
        return "invalid"


# TensorFlow Serving's messages say `float` and `double` where TensorFlow's Python says `float32`, `float64`.
_PROTO_NAMES = {1: "float", 2: "double"}


def _to_numpy(tensor: Any) -> Array:
    value = tensor.numpy()
    return value if isinstance(value, np.ndarray) else np.asarray(value, object if isinstance(value, bytes) else None)  # pyright: ignore[reportUnknownVariableType]


def _reason(message: str) -> str:
    lines = [line for line in message.splitlines() if not _TRACE.match(line)]
    return _NODE.sub("", lines[0] if lines else message.partition("\n")[0]).strip()
