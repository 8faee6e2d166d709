"""What a signature of the model takes and gives, as the SavedModel declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT = "serving_default"


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor.

    Attributes:
        dtype: TensorFlow's own name of the type: `float`, `int64`, `string`.
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


@dataclass(frozen=True)
class Signature:
    """One entry of a SavedModel's signatures.

    Attributes:
        name: Its key, such as `serving_default`.
        inputs: Input name to tensor, sorted by name.
        outputs: Output name to tensor, sorted by name.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
