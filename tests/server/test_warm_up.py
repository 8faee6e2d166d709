"""A model's own warm-up requests, as TensorFlow writes them, are played before the first client's request."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.server.served import Served

pytestmark = pytest.mark.tensorflow
SAVE = Path(__file__).parent / "save_warm_up.py"


@pytest.fixture
def model(dense: Path, tmp_path: Path) -> Path:
    return shutil.copytree(dense, tmp_path / "model")


def started(serving_python: Path, model: Path) -> Served:
    return Served(serving_python, model, model.parent / "log.txt")


def test_warm_up_requests_are_played_before_the_service_is_ready(serving_python: Path, model: Path):
    subprocess.run([serving_python, SAVE, model, "4"], check=True, capture_output=True)
    server = started(serving_python, model).ready()
    server.end()
    log = server.log.read_text()
    assert log.index("played 3 warm-up requests") < log.index(" ready on ")


def test_a_warm_up_request_that_the_model_refuses_ends_the_server(serving_python: Path, model: Path):
    subprocess.run([serving_python, SAVE, model, "3"], check=True, capture_output=True)
    server = started(serving_python, model)
    assert server.process.wait(60) == 1
    assert "warm-up request 0 of assets.extra/tf_serving_warmup_requests: input 'x' has shape [2, 3]" in (
        server.log.read_text()
    )


@pytest.mark.parametrize("content", [b"no records", b"\x09" + bytes(11) + b"\xff" * 9 + bytes(4)])
def test_a_damaged_file_of_warm_up_requests_ends_the_server(serving_python: Path, model: Path, content: bytes):
    (model / "assets.extra").mkdir()
    (model / "assets.extra" / "tf_serving_warmup_requests").write_bytes(content)
    server = started(serving_python, model)
    assert server.process.wait(60) == 1
    assert "assets.extra/tf_serving_warmup_requests" in server.log.read_text().splitlines()[-1]
