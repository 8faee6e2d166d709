"""The history shows of a script what MLflow's own server shows when the script speaks to it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.core.history.server_contents import ServerContents
from tests.core.sample_runs import request
from tests.server.served import free_port
from tests.waiting import until

from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.runs.execution import submission
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.settings import read_settings
from trainstack.core.tracking.token import read_token
from trainstack.core.workspace.workspace import Workspace
from trainstack.mlflow.rest_client import TrackingServer

# The first version that this Python can load, the last one of MLflow 2, and the newest, which the server's is.
CLIENTS = {
    "2.0.1": ["mlflow-skinny==2.0.1", "setuptools<65", "numpy<2", "pandas<3", "cloudpickle<3"],
    "2.22.4": ["mlflow-skinny==2.22.4", "numpy<2", "pandas<3"],
}
# Who runs the script, and from where; and what Trainstack alone says.
OF_THE_SERVER = ("mlflow.user", "mlflow.source.", "mlflow.trace.size", "trainstack.")


@pytest.fixture
def workspace(tmp_path):
    """A history that has nothing else."""
    made = Workspace.create(tmp_path / "ws", "ws")
    tracking_server.ensure(made)
    yield made
    tracking_server.stop(made)


@pytest.fixture
def real(tmp_path):
    """MLflow's own server, as its users start it."""
    folder, port = tmp_path / "mlflow", free_port()
    folder.mkdir()
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    process = subprocess.Popen(
        [client(None)[1], "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *stores],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        cwd=folder,
        start_new_session=True,
    )
    server = TrackingServer(f"http://127.0.0.1:{port}")
    until(server.healthy, 120)
    yield server
    os.killpg(process.pid, 9)
    process.wait()


def client(version):
    """The locked environment with a client, and its Python; the server's own has the newest."""
    if version is None:
        spec = environment.get_curated("mlflow-3")
    else:
        spec = EnvironmentSpec.from_packages("client", CLIENTS[version])
    lock = environment.lock(spec)
    return (spec, lock), str(environment.build(spec, lock).python)


@pytest.mark.parametrize("version", [pytest.param(each, marks=pytest.mark.long) for each in CLIENTS] + [None])
def test_the_history_shows_what_mlflows_own_server_shows(workspace, real, tmp_path, version):
    packages, python = client(version)
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(Path(__file__).with_name("logging_script.py").read_text())
    run = submission.submit(workspace, request(packages, source), source, {}).directory
    subprocess.run([python, "train.py"], env={**os.environ, "MLFLOW_TRACKING_URI": real.uri}, cwd=source, check=True)
    submission.follow(run)
    server = tracking_server.connect(workspace)
    experiment = server.experiment(workspace.name)
    until(lambda: _has_ended(server, experiment, run.id), 60)
    address, token = read_settings(workspace).address, read_token(workspace)
    theirs = _scripted(ServerContents(real.uri, "0").read())
    assert _scripted(ServerContents(address, experiment, token).read()) == theirs


def _has_ended(server, experiment, run_id):
    run = server.find_run(experiment, "trainstack.run_id", run_id)
    return run and server.get("runs/get", run_id=run)["run"]["info"]["status"] == "FINISHED"


def _scripted(contents):
    """What the script said, without what a server or Trainstack knows of itself."""
    for run in contents["runs"].values():
        # Further runs of a script are children of the page's run, not beside it.
        if run["tags"].get("mlflow.parentRunId") == "<run renamed>" and not run["name"].startswith("fold"):
            del run["tags"]["mlflow.parentRunId"]
        for kind in ("latest", "metrics"):
            run[kind] = {name: value for name, value in run[kind].items() if not name.startswith("system/")}
    return _without(contents)


def _without(value, kind=""):
    if kind == "artifacts":
        # A pickled class names its script's path.
        return {
            path: 0 if path.endswith(".pkl") else size
            for path, size in value.items()
            if not path.startswith(("code/", "logs/", "outputs/"))
        }
    if kind == "mlflow.note.content":
        return value.partition("\n\n`trainstack")[0]
    if kind == "mlflow.log-model.history":
        # Times and ids differ, and a server drops the version that the oldest client adds.
        own = ("utc_time_created", "model_uuid", "mlflow_version")
        return [{key: each for key, each in model.items() if key not in own} for model in json.loads(value)]
    if kind == "mlflow.modelVersions":
        # The client notes each version, and so does the server, one with text and one with a number.
        return sorted({(version["name"], str(version["version"])) for version in json.loads(value)})
    if isinstance(value, dict):
        return {
            name: plain
            for name, each in value.items()
            if not name.startswith(OF_THE_SERVER) and (plain := _without(each, name)) not in ({}, [], "")
        }
    return [_without(each) for each in value] if isinstance(value, list) else value
