"""A real Docker engine for tests of images, and what is needed to have only what a test itself built on it."""

from __future__ import annotations

import os
import uuid

import pytest

needs_engine = pytest.mark.skipif(
    not (os.environ.get("DOCKER_HOST") and os.environ.get("TRAINSTACK_BASE_IMAGE")),
    reason="DOCKER_HOST names no engine, or TRAINSTACK_BASE_IMAGE no image with Python 3.11 to build on",
)


def unique_variables() -> dict[str, str]:
    """Variables of an environment that make its image one that nobody has built before; its layers are shared."""
    return {"TEST": uuid.uuid4().hex}
