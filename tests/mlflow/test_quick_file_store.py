"""The store that a script's MLflow client finds on its path: quick, complete, and MLflow's own in all else."""

import os
import subprocess

import pytest
from tests.waiting import until

from trainstack.agent.ranks.rank_environment import CLIENT_FOLDER
from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.runs.execution import agent_folder
from trainstack.mlflow import metric_files

# The first client that current Pythons can load, and the newest that the curated environments carry.
OLDEST, NEWEST = "2.0.1", "3.17.2"
LOGS = """
import sys, mlflow
from mlflow.tracking._tracking_service.utils import _get_store
with mlflow.start_run() as run:
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"accuracy": step / 5, "odd": float("nan")}, step=step)
    mlflow.log_param("units", 8)
    mlflow.set_tag("kind", "small")
    try:
        mlflow.log_metric("no way", "text")
    except Exception as exc:
        print("refused", type(exc).__name__)
    client = mlflow.tracking.MlflowClient()
    print(type(_get_store()).__name__, len(client.get_metric_history(run.info.run_id, "accuracy")))
    print(client.get_run(run.info.run_id).data.metrics["loss"])
"""
MANY = """
import mlflow
from mlflow.tracking._tracking_service.utils import _get_store
store, looks = _get_store(), []
get_run = store.get_run
store.get_run = lambda run_id: looks.append(run_id) or get_run(run_id)
with mlflow.start_run():
    looks.clear()
    mlflow.log_metrics({f"metric{number}": 1.0 for number in range(50)}, step=1)
    print(len(looks))
"""
ODD = """
import mlflow
from mlflow.tracking import MlflowClient
client, refused = MlflowClient(), []
with mlflow.start_run() as run:
    mlflow.log_metrics({"loss/val": 1.0, "loss": 2.0, "loss/val/top": 3.0})
    mlflow.log_metric("loss/val", 4.0, step=1)
    mlflow.log_params({"layers": 1, "layers/first": 2})
    mlflow.set_tags({"a": 1, "a/b": 2})
    for step in (1.7, "2"):
        try:
            mlflow.log_metric("loss", 1.0, step=step)
        except TypeError:
            refused.append(step)
    for _ in range(3):
        for value in (1.0, 2.0, float("nan")):
            mlflow.log_metric("same", value, step=True)
    for _ in range(2):
        client.log_metric(run.info.run_id, "then", 1.0, timestamp=1000)
data = client.get_run(run.info.run_id).data
print(refused, sorted(data.metrics), data.params, data.tags["a"], data.tags["a/b"])
history = client.get_metric_history(run.info.run_id, "same")
print(len(history), len({(point.timestamp, str(point.value)) for point in history}), {point.step for point in history})
print([point.timestamp for point in client.get_metric_history(run.info.run_id, "then")])
"""
QUEUED = """
import mlflow
with mlflow.start_run():
    for step in range(500):
        mlflow.log_metric("loss/val", 1.0, step=step)
        mlflow.log_metrics({"same": 1.0})
"""
ENDLESS = """
import itertools, mlflow, pathlib
for step in itertools.count():
    mlflow.log_metric("loss", float(step), step=step)
    pathlib.Path("logged").write_text(str(step))
"""


def python_with(version):
    # The oldest needs pkg_resources, which newer setuptools have no more.
    also = ["setuptools<81"] if version == OLDEST else []
    spec = EnvironmentSpec.from_packages("logging", [f"mlflow-skinny=={version}", *also])
    return environment.build(spec, environment.lock(spec)).python


def variables(folder):
    agent_folder.lay_out(folder / "agent")
    given = {name: value.format(rank=0) for name, value in metric_files.variables(folder / "tracking").items()}
    return {**os.environ, **given, "PYTHONPATH": str(folder / "agent" / CLIENT_FOLDER)}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_clients_of_any_version_log_through_it(tmp_path, version):
    done = subprocess.run(
        [python_with(version), "-c", LOGS], env=variables(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["refused", "MlflowException", "QuickFileStore", "5", "0.2"], done.stderr
    read = metric_files.read(tmp_path / "tracking")
    assert [(point.step, point.value) for point in read["loss"]] == [(step, 1 / (step + 1)) for step in range(5)]
    assert [point.value for point in read["accuracy"]] == [step / 5 for step in range(5)]
    assert len(read["odd"]) == 5
    [run] = metric_files.runs(tmp_path / "tracking")
    assert run.params == {"units": "8"}
    assert run.tags["kind"] == "small"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_new_metric_costs_no_look_at_all_others(tmp_path, version):
    done = subprocess.run(
        [python_with(version), "-c", MANY], env=variables(tmp_path), capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 1
    read = metric_files.read(tmp_path / "tracking")
    assert len([name for name in read if name.startswith("metric")]) == 50


@pytest.mark.parametrize("version", [OLDEST, pytest.param("2.22.4", marks=pytest.mark.long), NEWEST])
def test_it_takes_and_refuses_what_a_server_does(tmp_path, version):
    done = subprocess.run(
        [python_with(version), "-c", ODD], env=variables(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "[1.7, '2'] ['loss', 'loss/val', 'loss/val/top', 'same', 'then'] {'layers': '1', 'layers/first': '2'} 1 2",
        "9 9 {1}",
        "[1000, 1000]",
    ]
    read = metric_files.read(tmp_path / "tracking")
    assert [point.value for point in read["loss/val"]] == [1, 4]
    [run] = metric_files.runs(tmp_path / "tracking")
    assert run.params == {"layers": "1", "layers/first": "2"}


def test_a_client_that_logs_from_a_queue_of_its_own_loses_nothing(tmp_path):
    given = variables(tmp_path) | {"MLFLOW_ENABLE_ASYNC_LOGGING": "true"}
    subprocess.run([python_with(NEWEST), "-c", QUEUED], env=given, check=True)
    read = metric_files.read(tmp_path / "tracking")
    assert [point.step for point in read["loss/val"]] == list(range(500))
    assert len(set(read["same"])) == 500


def test_a_killed_script_has_lost_nothing_that_it_logged(tmp_path):
    process = subprocess.Popen([python_with(NEWEST), "-c", ENDLESS], env=variables(tmp_path), cwd=tmp_path)
    until(lambda: (tmp_path / "logged").is_file() and int((tmp_path / "logged").read_text() or 0) > 200)
    process.kill()
    process.wait()
    points = metric_files.read(tmp_path / "tracking")["loss"]
    assert [point.step for point in points] == list(range(len(points)))
    assert len(points) > int((tmp_path / "logged").read_text() or 0)
