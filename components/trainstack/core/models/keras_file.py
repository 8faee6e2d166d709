"""What to do with a model that Keras saved as one file, which no server reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

_SUFFIXES = frozenset({".keras", ".h5", ".hdf5"})


def export_advice(files: Iterable[str]) -> str:
    """How to export the model of a Keras file, so that it can be served.

    Args:
        files: Paths of a model's files.

    Returns:
        A sentence; empty when none of them is a Keras file.
    """
    names = [name for name in files if PurePosixPath(name).suffix.lower() in _SUFFIXES]
    if not names:
        return ""
    return (
        f"{names[0]} is a file of Keras, which a service does not read: have the script export the model with "
        'model.export("outputs/model") (Keras 3) or tf.saved_model.save(model, "outputs/model"), and register that '
        "folder"
    )
