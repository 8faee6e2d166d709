"""A script starts a process without environment, session and parent, and kills the agent above it: all of it ends."""

from pathlib import Path

import pytest
from tests.core.sample_runs import request, tiny_environment
from tests.waiting import until

from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import RunFailedError

ESCAPE = """
import os, pathlib, signal, subprocess, time
agent = os.getppid()
daemon = "setsid sh -c 'echo $$ >outputs/pid; exec sleep 600' </dev/null >/dev/null 2>&1 &"
subprocess.run(["env", "-i", "/bin/sh", "-c", daemon], check=True)
pid = pathlib.Path("outputs/pid")
while not (pid.exists() and pid.read_text().strip()):
    time.sleep(0.02)
os.kill(agent, signal.SIGKILL)
time.sleep(600)
"""


def test_what_a_killed_agent_leaves_is_ended(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(ESCAPE)
    workspace = Workspace.create(tmp_path / "ws", "ws")
    run = submission.submit(workspace, request(tiny_environment(), source), source, {}).directory
    with pytest.raises(RunFailedError, match="node 0 was lost"):
        submission.follow(run)
    until(lambda: not run.has_supervisor())
    escaped = Path("/proc", (run.outputs / "pid").read_text().strip())
    assert not escaped.exists()
