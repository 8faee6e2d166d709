"""`trainstack tensorboard` shows the event files that a real TensorFlow wrote."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from tests.core.sample_runs import request
from tests.waiting import until

from trainstack.core.environments import environment
from trainstack.core.runs.execution import submission
from trainstack.core.workspace.workspace import Workspace

pytestmark = pytest.mark.tensorflow
SCRIPT = """
import tensorflow as tf
writer = tf.summary.create_file_writer("logs/train")
with writer.as_default():
    for step in range(5):
        tf.summary.scalar("loss", 1 / (step + 1), step=step)
writer.flush()
"""


def answer(address):
    try:
        found = httpx.get(address, timeout=5.0)
    except httpx.HTTPError:
        return None
    return found.json() if found.is_success else None


def test_real_event_files_are_shown(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    spec = environment.get_curated("tensorflow-2.15-horovod")
    workspace = Workspace.create(tmp_path / "ws", "ws")
    asked = request((spec, environment.lock(spec)), source).model_copy(update={"name": "net"})
    run = submission.submit(workspace, asked, source, {}).directory
    submission.follow(run)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "trainstack.cli", "tensorboard", "net", "--port", str(port)]
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--workspace", str(workspace.root)], stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}/data/plugin/scalars"
        name = f"net-{run.id[:8]}/train"
        tags = until(lambda: (found := answer(f"{address}/tags")) and found.get(name) and found, 120)
        assert list(tags[name]) == ["loss"]
        points = answer(f"{address}/scalars?run={name}&tag=loss")
        assert points is not None
        assert [(step, round(value, 3)) for _, step, value in points] == [
            (0, 1),
            (1, 0.5),
            (2, 0.333),
            (3, 0.25),
            (4, 0.2),
        ]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
