"""The article's walk through the real engine, TensorFlow and the model server: MNIST trained, registered, served."""

import gzip
import os
import shutil
import signal
from pathlib import Path

import httpx
import pytest
from tests.end_to_end.project import REPOSITORY, Project, new_project

from trainstack.core.runs.directory import RunDirectory
from trainstack.core.services import service
from trainstack.core.workspace.workspace import Workspace
from trainstack.mlflow import metric_files as tracking

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.tensorflow,
    pytest.mark.skipif("MNIST_BASE_URL" not in os.environ, reason="MNIST_BASE_URL names no folder with the four files"),
]


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    project = new_project(tmp_path_factory.mktemp("mnist"))
    shutil.copytree(REPOSITORY / "programs" / "mnist", project.root / "programs" / "main", dirs_exist_ok=True)
    project.up()
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def outputs(mnist):
    return mnist.outputs()


@pytest.fixture(scope="module")
def workspace(mnist):
    return Workspace.open(mnist.root / ".trainstack" / "mnist")


@pytest.fixture(scope="module")
def test_images(workspace):
    """The 10,000 test images as rows of floats, and their digits."""
    folder = next((workspace.runs).glob("*/data/mnist"))
    pixels = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    digits = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    rows = [[value / 255 for value in pixels[start : start + 784]] for start in range(0, 784 * 200, 784)]
    return rows, list(digits[:200])


def test_the_network_reaches_97_8_percent(outputs):
    assert outputs["accuracy"] >= 0.978


def test_the_outputs_name_run_model_and_address(outputs, workspace):
    assert RunDirectory(workspace.run(outputs["run_id"])).read().status == "completed"
    assert outputs["model"]["name"] == "tf-dnn-mnist"
    assert outputs["model"]["version"] == 1
    assert Path(outputs["model"]["path"], "saved_model.pb").is_file()
    assert outputs["scoring_uri"].startswith("http://127.0.0.1:")


def test_metrics_are_kept_by_epoch(outputs, workspace):
    points = tracking.read(RunDirectory(workspace.run(outputs["run_id"])).tracking)
    assert [point.step for point in points["train_accuracy"]] == list(range(1, 13))
    assert points["accuracy"][-1].value == pytest.approx(outputs["accuracy"])


def test_the_service_tells_the_digits_apart(outputs, test_images):
    rows, digits = test_images
    answer = httpx.post(outputs["scoring_uri"], json={"instances": rows}, timeout=30).json()["predictions"]
    predicted = [scores.index(max(scores)) for scores in answer]
    assert sum(predicted_digit == other for predicted_digit, other in zip(predicted, digits, strict=True)) >= 190


def test_a_second_preview_shows_no_change(mnist):
    mnist.unchanged()


def test_preview_names_a_changed_argument_and_what_follows(mnist):
    mnist.pulumi("config", "set", "learning-rate", "0.02")
    preview = mnist.preview()
    mnist.pulumi("config", "rm", "learning-rate")
    [sentence] = preview.lines("will retrain: ")
    assert sentence.startswith("will retrain: --learning-rate 0.01 → 0.02; last run took ")
    assert preview.lines("Model: (update)")
    assert preview.lines("WebService: (update)")


def test_a_killed_service_is_started_again_by_the_next_up(mnist, outputs, workspace):
    record = service.find(workspace, "mnist")
    assert record.pid is not None
    os.kill(record.pid, signal.SIGKILL)
    preview = mnist.preview()
    assert preview.lines("service is down: starts again")
    assert preview.lines("WebService: (update)")
    assert not preview.lines("will retrain")
    mnist.up()
    status = httpx.get(outputs["scoring_uri"].removesuffix(":predict")).json()
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    mnist.unchanged()


def test_a_changed_model_file_is_restored_without_training(mnist, outputs, workspace):
    path = Path(outputs["model"]["path"], "fingerprint.pb")
    path.unlink()
    mnist.pulumi("refresh", "--yes", "--skip-preview")
    preview = mnist.preview()
    assert preview.lines("drifted: fingerprint.pb: gone")
    assert not preview.lines("will retrain")
    mnist.up()
    assert path.is_file()
    assert mnist.outputs()["model"] == outputs["model"]
    mnist.unchanged()


def test_destroy_stops_the_service_and_keeps_run_and_model(mnist: Project, outputs):
    mnist.pulumi("destroy", "--yes", "--skip-preview")
    with pytest.raises(httpx.ConnectError):
        httpx.get(outputs["scoring_uri"].removesuffix(":predict"))
    assert Path(outputs["model"]["path"], "saved_model.pb").is_file()
    mnist.up()
    again = mnist.outputs()
    assert again["run_id"] == outputs["run_id"]
    assert again["model"] == outputs["model"]
