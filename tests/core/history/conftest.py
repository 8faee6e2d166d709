"""A workspace whose history is on a real MLflow server, and scripts that log with a real client."""

import pytest
from tests.waiting import until

from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.tracking import tracking_server
from trainstack.core.workspace.workspace import Workspace

SCRIPT = """
import os, pathlib, sys, time
import mlflow
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
steps = int(arguments.get("--steps", 3))
pathlib.Path("outputs/pid").write_text(str(os.getpid()))
mlflow.log_param("units", 8)
with mlflow.start_run(nested=True, run_name="fold 1"):
    mlflow.log_metric("fold_loss", 0.5)
for step in range(1, steps + 1):
    mlflow.log_metrics({"loss": 1 / step, "accuracy": 1 - 1 / (step + 1)}, step=step)
    print("step", step, flush=True)
    time.sleep(float(arguments.get("--pause", 0)))
mlflow.log_metric("odd", float("nan"))
pathlib.Path("outputs/model.txt").write_text("weights")
"""


@pytest.fixture(scope="session")
def packages():
    """An environment with an MLflow client."""
    spec = EnvironmentSpec.from_packages("logging", ["mlflow-skinny==3.17.2"])
    lock = environment.lock(spec)
    environment.build(spec, lock)
    return spec, lock


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """One workspace and one server for the tests of a module: a server takes seconds to start."""
    made = Workspace.create(tmp_path_factory.mktemp("ws") / "ws", "ws")
    yield made
    tracking_server.stop(made)


@pytest.fixture(scope="module")
def server(workspace):
    tracking_server.ensure(workspace)
    return tracking_server.connect(workspace)


@pytest.fixture
def shown(server, workspace):
    """Gives runs as the server shows them, by a tag's value; waits until there is one that fits."""

    def find(tag, value, fits=lambda run: True):
        found = []

        def there():
            experiment = server.experiment(workspace.name)
            answer = server.post(
                "runs/search", experiment_ids=[experiment], filter=f"tags.`{tag}` = '{value}'", max_results=50
            )
            found[:] = answer.get("runs", [])
            return bool(found) and fits(found[0])

        until(there, 60)
        return found

    return find


def values(run, kind):
    """Metrics, parameters or tags of a run that the server shows, as a mapping."""
    return {entry["key"]: entry["value"] for entry in run["data"].get(kind, [])}
