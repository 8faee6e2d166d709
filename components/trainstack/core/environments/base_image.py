"""Which image an environment of packages is built on."""

from __future__ import annotations

import os
import re

from trainstack.errors import InvalidInputError

CPU_VARIABLE = "TRAINSTACK_BASE_IMAGE"
GPU_VARIABLE = "TRAINSTACK_GPU_BASE_IMAGE"
# CUDA 12.2 and cuDNN 8.9 are what TensorFlow 2.15 was built with; TensorFlow's own packages need the driver besides.
GPU_BASE = "nvidia/cuda:12.2.2-cudnn8-runtime-ubuntu22.04"
_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


def base_image(python: str, chosen: str | None = None, *, gpu: bool = False) -> str:
    """Return the image to build an environment on.

    Args:
        python: The environment's Python version.
        chosen: What the environment or the workspace asks for, if it does.
        gpu: Whether the nodes have GPUs.

    Returns:
        The choice; else what `TRAINSTACK_BASE_IMAGE` (for GPUs `TRAINSTACK_GPU_BASE_IMAGE`) says; else Python's slim
        image, for GPUs NVIDIA's CUDA runtime, into which uv brings Python.

    Raises:
        InvalidInputError: It is not an image's name.
    """
    default = GPU_BASE if gpu else f"python:{python}-slim-bookworm"
    reference = chosen or os.environ.get(GPU_VARIABLE if gpu else CPU_VARIABLE) or default
    return checked_reference(reference, "base_image")


def checked_reference(name: str, field: str) -> str:
    """Return an image's name when it has the form of one.

    Raises:
        InvalidInputError: It has not.
    """
    if not _REFERENCE.fullmatch(name):
        raise InvalidInputError(
            f"{field} {name!r} is not an image's name: write REGISTRY/NAME:TAG or NAME@sha256:DIGEST", field=field
        )
    return name
