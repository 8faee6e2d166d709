"""How far inputs are from the training sample: the number itself, and what a server shows of it."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.server.served import Served

from trainstack.server.model.drift import Baseline

RANDOM = np.random.default_rng(7)
SMALL, LARGE = 0.1, 0.25


def index(sample: np.ndarray, sent: np.ndarray) -> float:
    baseline = Baseline(sample)
    baseline.add(sent)
    found = baseline.index()
    assert found is not None
    return found


@pytest.mark.parametrize("rows", [20, 100, 1000])
@pytest.mark.parametrize("sent", [200, 2000])
def test_a_small_sample_of_the_same_distribution_is_no_drift(rows: int, sent: int):
    found = [index(RANDOM.normal(size=(rows, 8)), RANDOM.normal(size=(sent, 8))) for _ in range(10)]
    assert max(found) < SMALL


@pytest.mark.parametrize("rows", [20, 100, 1000])
def test_a_shift_by_a_standard_deviation_is_much_drift(rows: int):
    assert index(RANDOM.normal(size=(rows, 8)), RANDOM.normal(1, size=(200, 8))) > LARGE


def test_a_constant_feature_that_begins_to_vary_is_drift():
    constant = np.zeros((500, 3))
    assert index(constant, np.zeros((200, 3))) == 0
    assert index(constant, np.full((200, 3), 1e-6)) > LARGE
    assert index(constant, np.full((200, 3), -1e-6)) > LARGE


def test_a_mostly_empty_picture_that_is_inverted_is_drift():
    pictures = (RANDOM.random((500, 28, 28)) < 0.08) * RANDOM.integers(1, 256, (500, 28, 28))
    assert index(pictures, pictures[:200]) < SMALL
    assert index(pictures, 255 - pictures[:200]) > LARGE


def test_nothing_is_said_of_a_few_rows():
    baseline = Baseline(RANDOM.normal(size=(100, 2)))
    baseline.add(RANDOM.normal(size=(49, 2)))
    assert baseline.index() is None


def test_drift_passes_when_the_inputs_are_as_before():
    baseline = Baseline(RANDOM.normal(size=(1000, 4)))
    for mean in [3.0] * 200 + [0.0] * 1600:
        baseline.add(RANDOM.normal(mean, size=(16, 4)))
    assert (baseline.index() or 0) < SMALL


@pytest.fixture(scope="module")
def sampled(dense: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that comes with its training sample."""
    folder = tmp_path_factory.mktemp("sampled") / "model"
    shutil.copytree(dense, folder)
    (folder / "assets.extra").mkdir(exist_ok=True)
    sample = np.random.default_rng(1).normal(size=(500, 4)).astype("float32")
    np.savez(folder / "assets.extra" / "training_sample.npz", x=sample)
    return folder


@pytest.fixture(scope="module")
def server(serving_python: Path, sampled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(serving_python, sampled, tmp_path_factory.mktemp("drift") / "log.txt")
    yield server.ready()
    server.end()


def sent(server: Served, mean: float) -> float:
    """What the server says of its inputs after so many with a mean."""
    for _ in range(150):
        assert server.predict(inputs=RANDOM.normal(mean, size=(16, 4)).tolist()).status_code == 200
        time.sleep(0.02)
    text = server.client.get("/metrics").text
    (metric,) = [one for one in text_string_to_metric_families(text) if one.name == "trainstack_input_drift"]
    (sample,) = metric.samples
    assert sample.labels == {"version": "3", "input": "x"}
    return sample.value


@pytest.mark.tensorflow
def test_a_server_shows_drift_for_shifted_inputs_only(server: Served):
    assert sent(server, 0) < SMALL
    assert sent(server, 2) > LARGE


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["damaged", "empty", "another width", "strings", "another file format"])
def test_a_sample_that_is_none_breaks_no_request(
    kind: str, serving_python: Path, sampled: Path, dense: Path, tmp_path: Path
):
    model = tmp_path / "model"
    shutil.copytree(sampled, model)
    file = model / "assets.extra" / "training_sample.npz"
    if kind == "damaged":
        file.write_bytes(file.read_bytes()[:1000] + b"\0" * 3000 + file.read_bytes()[4000:])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "another file format":
        with file.open("wb") as out:
            np.save(out, np.zeros((30, 4)))
    else:
        rows = np.full((30, 4), "a") if kind == "strings" else np.zeros((30, 9))
        np.savez(file, x=rows)
    program = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as N; "
        f"sys.path.insert(0, {str(Path(__file__).parents[2] / 'components' / 'trainstack')!r}); "
        "from server.model.drift import baselines; x = N(shape=(-1, 4)); "
        "servable = N(signatures={'serving_default': N(inputs={'x': x})}); "
        f"print(baselines(Path({str(model)!r}), servable, None))"
    )
    ended = subprocess.run([serving_python, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "{}\n"
