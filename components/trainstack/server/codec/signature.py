"""What a signature of the model takes and gives, as the SavedModel declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT = "serving_default"
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))

TYPES = {
    1: "float", 2: "double", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64", 9: "int64",
    10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
"""TensorFlow's names of types by their numbers (tensorflow/core/framework/types.proto)."""
SERVED_TYPES = frozenset(
    {"bool", "float", "double", "float16", "bfloat16", "string"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""The types that requests and answers can carry."""


def numpy_name(dtype: str) -> str:
    """Numpy's name of a type of TensorFlow's."""
    return {"float": "float32", "double": "float64", "string": "object"}.get(dtype, dtype)


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor.

    Attributes:
        dtype: TensorFlow's own name of the type: `float`, `int64`, `string`, or of several tensors in one,
            `RaggedTensor`.
        shape: Its dimensions, -1 where any size will do; None when even the rank is unknown.
    """

    dtype: str
    shape: tuple[int, ...] | None

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of `shape` can be given for it."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            want in (-1, got) for want, got in zip(self.shape, shape, strict=True)
        )

    @property
    def numpy(self) -> str:
        """Numpy's name of the type."""
        return numpy_name(self.dtype)


@dataclass(frozen=True)
class Signature:
    """One entry of a SavedModel's signatures.

    Attributes:
        name: Its key, such as `serving_default`.
        inputs: Input name to tensor, sorted by name.
        outputs: Output name to tensor, sorted by name.
        method: What it says it is for, such as `tensorflow/serving/predict`.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str = PREDICT

    @property
    def is_batched(self) -> bool:
        """Whether the first dimension of each input is of any size."""
        return all(spec.shape and spec.shape[0] == -1 for spec in self.inputs.values())

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return {
            "inputs": {name: [spec.dtype, spec.shape] for name, spec in self.inputs.items()},
            "outputs": {name: [spec.dtype, spec.shape] for name, spec in self.outputs.items()},
            "method": self.method,
        }

    @staticmethod
    def from_json(name: str, value: Mapping[str, Any]) -> Signature:
        """Read what `to_json` gave."""
        sides = [
            {key: TensorSpec(dtype, None if shape is None else tuple(shape)) for key, (dtype, shape) in side.items()}
            for side in (value["inputs"], value["outputs"])
        ]
        return Signature(name, sides[0], sides[1], value["method"])
