"""Whether TensorFlow sees a node's GPUs, asked of a real TensorFlow on a machine that has none."""

import os
import subprocess
from pathlib import Path

import pytest

from trainstack.agent.errors import LaunchError
from trainstack.agent.gpu_check import require_gpus
from trainstack.core.environments.environment import build, get_curated, lock

COMPONENTS = Path(__file__).parents[2] / "components"


def checked(python, count):
    """What the check comes to in the interpreter of an environment."""
    code = f"from trainstack.agent.gpu_check import require_gpus; require_gpus({count})"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(COMPONENTS)}
    return subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True).stderr


def test_a_node_without_gpus_is_not_asked(serving_python):
    assert checked(serving_python, 0) == ""


def test_an_environment_without_tensorflow_is_not_asked(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    require_gpus(8)


def test_tensorflow_for_processors_is_named(serving_python):
    assert "sees 0 of the 2 GPUs that the compute's node has: it is built without CUDA" in checked(serving_python, 2)


def test_a_script_does_not_start_without_its_gpus(launch, serving_python):
    launch.write("print('trains on the processor')", gpus=1)
    assert launch.run(str(serving_python)) == [2]
    assert "sees 0 of the 1 GPUs" in launch.report().error
    assert launch.log() == ""


@pytest.mark.long
def test_tensorflow_with_cuda_looks_for_a_driver():
    spec = get_curated("tensorflow-2.21-gpu")
    assert "sees 0 of the 1 GPUs that the compute's node has: look at `nvidia-smi`" in checked(
        build(spec, lock(spec)).python, 1
    )


def test_a_tensorflow_that_cannot_be_imported_says_why(monkeypatch, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libcudart.so.12 is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(LaunchError, match=r"TensorFlow cannot be imported: ImportError: libcudart.so.12 is missing"):
        require_gpus(1)
