"""Somebody else on the machine reaches for the ports of a run's TensorFlow servers, which know no login."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.attack.neighbour import own_addresses, reached
from tests.core.sample_runs import request, tiny_environment
from tests.waiting import until

from trainstack.agent.plan import FIRST_TASK_PORT, read_plan
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.targets.local import private_network

# What `tf.distribute.Server` does with the addresses of TF_CONFIG: it listens on all of its machine.
WORKERS = """
import json, os, pathlib, socket, sys, time
config = json.loads(os.environ["TF_CONFIG"])
index, addresses = config["task"]["index"], config["cluster"]["worker"]
server = socket.create_server(("0.0.0.0", int(addresses[index].rpartition(":")[2])))
met = pathlib.Path(sys.argv[sys.argv.index("--met") + 1])
host, _, port = addresses[1 - index].rpartition(":")
while True:
    try:
        socket.create_connection((host, int(port)), 1).close()
        break
    except OSError:
        time.sleep(0.02)
(met / str(index)).touch()
while not (met / "tried").exists():
    time.sleep(0.02)
"""


@pytest.mark.parametrize("allowed", [False, True], ids=["by default", "allow_network"])
def test_nobody_else_reaches_servers_of_workers(tmp_path: Path, allowed: bool) -> None:
    if problem := private_network.problem():
        pytest.skip(problem)
    source, met = tmp_path / "source", tmp_path / "met"
    source.mkdir()
    met.mkdir()
    (source / "train.py").write_text(WORKERS)
    workspace = Workspace.create(tmp_path / "ws", "ws")
    spread = {"kind": "tensorflow", "workers": 2, "node_count": 2}
    asked = request(
        tiny_environment(), source, {"--met": str(met)}, parts={"distribution": spread}, allow_network=allowed
    )
    run = submission.submit(workspace, asked, source, {}).directory
    until(lambda: {"0", "1"} <= {path.name for path in met.iterdir()})
    ports = read_plan(run.root / "launch.json").ports[FIRST_TASK_PORT:]
    assert len(ports) == 2
    assert {reached(address, port) for address in own_addresses() for port in ports} == {allowed}
    (met / "tried").touch()
    submission.follow(run)
    assert ("a network of their own" in run.merged_log.read_text()) is not allowed
