"""Fixtures for tests all over the tree."""

from pathlib import Path

import pytest

from trainstack.lifecycle.environment import build, get_curated, lock


def interpreter(curated: str) -> Path:
    """The interpreter of a curated environment, built on first use and kept in this machine's cache."""
    spec = get_curated(curated)
    return build(spec, lock(spec)).python


@pytest.fixture(scope="session")
def serving_python() -> Path:
    """The interpreter of the environment that serves models of TensorFlow 2.15."""
    return interpreter("trainstack-serving-2.15")


@pytest.fixture(scope="session")
def horovod_python():
    """Interpreter of the curated environment with TensorFlow 2.15 and Horovod; built when this machine has none."""
    from trainstack.lifecycle import environment

    spec = environment.get_curated("trainstack-tensorflow-2.15-horovod")
    return environment.build(spec, environment.lock(spec)).python
