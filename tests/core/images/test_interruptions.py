"""Image builds that are killed, and engines without BuildKit."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from tests.core.engine_images import needs_engine

from trainstack.core.images import builder as image_builder

pytestmark = [
    needs_engine,
    pytest.mark.skipif(
        not os.environ.get("DOCKER_HOST", "").startswith("unix://"), reason="looks at the engine's processes in /proc"
    ),
]

BUILD = """
import sys
from trainstack.core.images import image
from trainstack.core.images import builder as image_builder
from trainstack.core.environments.environment import EnvironmentSpec
from trainstack.core.images.environment_lock import lock_environment
from trainstack.docker_engine import engine_api

if sys.argv[2] == "sdk":
    image_builder.docker_program = lambda: None
spec = EnvironmentSpec(name="slow", dockerfile=sys.argv[1] + "/Dockerfile", context=sys.argv[1])
with engine_api.connected() as client:
    print(image.ensure(spec, lock_environment(spec, in_image=True), client).reference)
"""


@pytest.fixture(params=["buildkit", "sdk"])
def builder(request):
    if request.param == "buildkit" and image_builder.docker_program() is None:
        pytest.skip("no docker program with BuildKit on PATH")
    return request.param


@pytest.fixture
def slow(tmp_path):
    """A build that sleeps for a while that no other process sleeps; gives its folder and those seconds."""
    seconds = f"1{uuid.uuid4().int % 10**6:06d}"
    (tmp_path / "Dockerfile").write_text(
        f"FROM {os.environ['TRAINSTACK_BASE_IMAGE']}\nCOPY go* /\nRUN test -e /go || sleep {seconds}\n"
    )
    (tmp_path / "gone").touch()
    return tmp_path, seconds


def sleeping(seconds):
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes().rstrip(b"\0").split(b"\0")[-2:] == [b"sleep", seconds.encode()]:
                return True
        except OSError:
            continue
    return False


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_build_stops_and_the_next_succeeds(slow, builder, number):
    folder, seconds = slow
    command = [sys.executable, "-c", BUILD, str(folder), builder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert until(lambda: sleeping(seconds)), process.communicate(timeout=5)[0]
    process.send_signal(number)
    process.communicate(timeout=10)
    assert until(lambda: not sleeping(seconds))
    (folder / "go").touch()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.startswith("sha256:")
