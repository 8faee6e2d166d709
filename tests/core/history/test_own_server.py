"""A user's own MLflow server, started as MLflow's own documentation says, keeps the history of a workspace."""

import os
import signal
import socket
import subprocess

import httpx
import pytest
from tests.core.history.conftest import values
from tests.waiting import until

from trainstack.core.environments import environment
from trainstack.core.runs.execution import submission
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.mlflow_process import ENVIRONMENT
from trainstack.core.workspace.workspace import Workspace
from trainstack.mlflow.rest_client import TrackingServer
from trainstack.storage.atomic import read_json


@pytest.fixture
def address(tmp_path):
    """A server that nobody of ours has started."""
    spec = environment.get_curated(ENVIRONMENT)
    python = environment.build(spec, environment.lock(spec)).python
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "theirs"
    folder.mkdir()
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/theirs.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, start_new_session=True,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
    server = TrackingServer(f"http://127.0.0.1:{port}")
    try:
        until(server.healthy, 120)
        yield server.uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_runs_are_told_to_the_server_that_a_workspace_names(tmp_path, address, request_for, source, monkeypatch):
    workspace = Workspace.create(tmp_path / "ws", "ours")
    tracking_server.declare(workspace, address)
    # As `pulumi up` does: the first run that trains brings the keeper.
    monkeypatch.delenv(tracking_server.SWITCH)
    try:
        run = submission.submit(workspace, request_for({"--steps": 3}), source, {}).directory
        submission.follow(run)
        server = TrackingServer(address)
        experiment = server.experiment("ours")

        def there():
            found = server.find_run(experiment, "trainstack.run_id", run.id)
            return found and server.get("runs/get", run_id=found)["run"]

        until(lambda: (found := there()) and found["info"]["status"] == "FINISHED", 60)
        shown = there()
        assert values(shown, "metrics")["accuracy"] == 0.75
        assert values(shown, "metrics")["system/cpu_utilization_percentage"] >= 0
        assert values(shown, "tags")["trainstack.directory"] == str(run.root)
        assert tracking_server.ensure(workspace) == address
        assert not list(workspace.history.glob("mlflow.db")), "no server of ours"
        assert httpx.get(f"{address}/health").text == "OK"
        keeper = read_json(workspace.history / tracking_server.STATUS_FILE)["pid"]
        assert subprocess.run(["pgrep", "-P", str(keeper)], capture_output=True, check=False).stdout == b""
    finally:
        tracking_server.stop(workspace)
    assert httpx.get(f"{address}/health").text == "OK", "theirs goes on"
