"""Curated environments: what is shipped holds together, and works with the real TensorFlow."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from trainstack.core.environments.curated_names import FOLDER
from trainstack.core.environments.environment import (
    CURATED_PREFIX,
    EnvironmentSpec,
    build,
    cached_lock,
    clone,
    curated_names,
    get_curated,
    lock,
)
from trainstack.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[3]


def run_in(name: str, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a run would have it: in the curated environment, with its variables."""
    spec = get_curated(name)
    built = build(spec, lock(spec))
    return subprocess.run(
        [built.python, "-c", script],
        env={"PATH": "/usr/bin:/bin", **spec.variables, **variables},
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_shipped_curated_environments() -> None:
    assert curated_names() == [
        "trainstack-driver",
        "trainstack-mlflow-3",
        "trainstack-serving-2.15",
        "trainstack-serving-2.21",
        "trainstack-tensorflow-2.15",
        "trainstack-tensorflow-2.15-horovod",
        "trainstack-tensorflow-2.21",
        "trainstack-tensorflow-2.21-gpu",
    ]


def test_the_docs_list_the_curated_environments() -> None:
    section = (ROOT / "docs" / "environments.md").read_text("utf-8").partition("## Curated environments")[2]
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith(f"| `{CURATED_PREFIX}")]
    assert sorted(name for row in rows for name in re.findall(rf"`({CURATED_PREFIX}[^`]+)`", row)) == curated_names()


@pytest.mark.parametrize("name", curated_names())
def test_a_curated_lock_is_complete_and_names_no_index(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    spec = get_curated(name)
    locked = lock(spec)
    assert cached_lock(spec) == locked
    asked = json.loads((FOLDER / name.removeprefix(CURATED_PREFIX) / "environment.json").read_bytes())
    assert set(asked["packages"]) == set(spec.packages)
    with_tensorflow = name.startswith(("trainstack-tensorflow-", "trainstack-serving-"))
    assert ("tensorflow-cpu" in locked.packages) == (with_tensorflow and not name.endswith("-gpu"))
    assert ("tensorflow" in locked.packages) == ("nvidia-cudnn-cu12" in locked.packages) == name.endswith("-gpu")
    assert "://" not in locked.text


def test_the_prefix_may_be_left_out() -> None:
    assert get_curated("tensorflow-2.15") == get_curated("trainstack-tensorflow-2.15")


def test_an_unknown_name_lists_those_that_come_close() -> None:
    with pytest.raises(InvalidInputError, match=r"did you mean .*trainstack-tensorflow-2\.15 or") as caught:
        get_curated("tensorflow-2.51")
    assert "serving" not in str(caught.value)
    with pytest.raises(InvalidInputError, match=r"trainstack-serving-2\.15 or .*trainstack-tensorflow-2\.21"):
        get_curated("xyz")


def test_clone_shares_the_build_and_drops_the_prefix() -> None:
    spec = get_curated("tensorflow-2.15")
    copy = clone(spec, "mine")
    assert (copy.curated, lock(copy).digest) == (None, lock(spec).digest)
    with pytest.raises(InvalidInputError, match="belongs to curated environments"):
        clone(spec, "trainstack-mine")


def test_nobody_can_pass_off_their_own_as_curated() -> None:
    with pytest.raises(InvalidInputError, match="no curated environment 'trainstack-mine'"):
        EnvironmentSpec(name="trainstack-mine", curated="trainstack-mine", packages=("six",))


FIT = """
import tensorflow as tf, mlflow.tensorflow
import numpy as np
model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
model.compile("sgd", "mse")
history = model.fit(np.zeros((4, 3)), np.zeros((4, 2)), verbose=0)
print(tf.__version__, model.__class__.__module__.split(".")[0], history.history["loss"])
"""


@pytest.mark.tensorflow
def test_tensorflow_2_15_trains_quietly() -> None:
    done = run_in("tensorflow-2.15", FIT)
    assert done.stdout == "2.15.1 keras [0.0]\n"
    assert done.stderr == ""


@pytest.mark.tensorflow
def test_tensorflow_2_21_trains_with_legacy_keras() -> None:
    assert run_in("tensorflow-2.21", FIT).stdout == "2.21.0 tf_keras [0.0]\n"


@pytest.mark.tensorflow
@pytest.mark.parametrize("version", ["2.15", "2.21"])
def test_a_serving_environment_has_the_server_and_tensorflow(version: str) -> None:
    script = "import ai_edge_litert, httptools, orjson, simdjson, tensorflow, uvloop; print(tensorflow.__version__)"
    assert run_in(f"serving-{version}", script).stdout.startswith(version)


@pytest.mark.parametrize("name", curated_names())
def test_shipped_specification_passes_validation(name):
    shipped = get_curated(name)
    assert EnvironmentSpec.model_validate(shipped.model_dump()) == shipped
