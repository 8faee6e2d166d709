"""Metrics that an MLflow client wrote, read while it is still writing."""

import os
import subprocess

import pytest

from trainstack.core.environments import environment
from trainstack.mlflow import metric_files


def write(folder, name, text, run="run1"):
    path = folder / "rank-0" / "0" / run / "metrics" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_points_come_by_metric_in_the_order_of_time(tmp_path):
    write(tmp_path, "loss", "2000 0.5 2\n1000 0.9 1\n")
    assert metric_files.read(tmp_path)["loss"] == [metric_files.Point(1000, 0.9, 1), metric_files.Point(2000, 0.5, 2)]
    assert metric_files.last(tmp_path) == {"loss": 0.5}


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path):
    write(tmp_path, "loss", "1000 0.9 1\n2000 0.")
    assert metric_files.last(tmp_path) == {"loss": 0.9}


def test_attempts_are_put_together(tmp_path):
    write(tmp_path, "loss", "1000 0.9 1\n", run="first")
    write(tmp_path, "loss", "9000 0.1 2\n", run="second")
    assert [point.step for point in metric_files.read(tmp_path)["loss"]] == [1, 2]


def test_no_metric_is_no_error(tmp_path):
    assert metric_files.read(tmp_path) == {}


def test_a_metric_of_another_rank_is_not_the_runs(tmp_path):
    write(tmp_path, "loss", "1000 0.9 1\n")
    assert metric_files.last(tmp_path, rank=1) == {}


@pytest.mark.tensorflow
def test_a_real_client_writes_what_we_read(tmp_path):
    spec = environment.get_curated("tensorflow-2.15")
    python = environment.build(spec, environment.lock(spec)).python
    variables = {name: value.format(rank=0) for name, value in metric_files.variables(tmp_path).items()}
    script = "import mlflow; [mlflow.log_metrics({'loss': 1 / step, 'a/b': step}, step=step) for step in (1, 2, 4)]"
    subprocess.run([python, "-c", script], check=True, env={**os.environ, **variables}, cwd=tmp_path)
    assert [(point.value, point.step) for point in metric_files.read(tmp_path)["loss"]] == [
        (1.0, 1),
        (0.5, 2),
        (0.25, 4),
    ]
    assert metric_files.last(tmp_path) == {"a/b": 4.0, "loss": 0.25}
