"""Whether a signature can be served at all: what its declaration says, and what it answers to no, one and many rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ..codec.signature import SERVED_TYPES, Signature
from ..codec.tensors import Array
from ..http.errors import HttpError
from .generated_inputs import Inputs, tried

Run = Callable[[Mapping[str, Array]], dict[str, Array]]

# Operations that call a function of the Python process that made the model.
_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
# TensorFlow's codes for an input that does not suit: INVALID_ARGUMENT and OUT_OF_RANGE.
_UNSUITABLE = frozenset({3, 11})
_MANY = 3
_REMEDIES = {
    "RaggedTensor": ": return .to_tensor(), or its flat_values and row_splits",
    "SparseTensor": ": return tf.sparse.to_dense of it, or its indices and values",
    "complex64": ": return its real and imaginary parts",
    "complex128": ": return its real and imaginary parts",
}


@dataclass(frozen=True)
class Trial:
    """What came of trying a signature.

    Attributes:
        unserved: Why it can be called by nobody; empty when it can.
        note: What could not be found out; empty when all was.
        no_rows: What it answers when no row is sent: outputs, or a refusal.
    """

    unserved: str = ""
    note: str = ""
    no_rows: dict[str, Array] | HttpError | None = None


def attempt(run: Run, signature: Signature, operations: Collection[str], samples: list[Inputs]) -> Trial:
    """Try a signature.

    Args:
        run: Runs it on TensorFlow.
        signature: What it takes and gives.
        operations: The kinds of operations that it may come to.
        samples: Inputs that it is known to take.
    """
    if not signature.inputs:
        # Nobody calls those: a model has them to be initialized.
        return Trial()
    if unserved := _undeliverable(signature):
        return Trial(unserved)
    no_rows = _first_answer(run, signature, 0)
    answers = [run(sample) for sample in samples] or [_first_answer(run, signature, rows) for rows in (1, _MANY)]
    refusals = [answer for answer in answers if isinstance(answer, HttpError)]
    if len(refusals) < len(answers):
        return Trial(no_rows=no_rows)
    refusal = refusals[0]
    if _PYTHON.intersection(operations):
        return Trial("it calls Python code (tf.py_function or tf.numpy_function), which is not saved with a model")
    if _code(refusal) not in _UNSUITABLE:
        return Trial(f"it fails on every input: {refusal}")
    note = f"it refuses every input that was made up for it ({refusal}): register the model with a sample input"
    return Trial(note=note, no_rows=no_rows)


def _undeliverable(signature: Signature) -> str:
    """Why no request can carry what a signature takes, or no answer what it gives."""
    for role, side in (("input", signature.inputs), ("output", signature.outputs)):
        for name, spec in side.items():
            if spec.dtype not in SERVED_TYPES:
                remedy = _REMEDIES.get(spec.dtype, "") if role == "output" else ""
                return f"{role} {name} is a {spec.dtype}, which no request or answer has{remedy}"
    return ""


def _first_answer(run: Run, signature: Signature, rows: int) -> dict[str, Array] | HttpError:
    """What the first made up input is answered that is; the first refusal when none is."""
    refusal: HttpError | None = None
    for inputs in tried(signature, rows):
        try:
            return run(inputs)
        except HttpError as error:
            refusal = refusal or error
    assert refusal is not None  # noqa: S101 (there is always an input to try)
    return refusal


def _code(refusal: HttpError) -> int | None:
    """TensorFlow's code of a refusal."""
    return getattr(refusal.__cause__, "error_code", None)
