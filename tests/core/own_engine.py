"""A Docker engine of a test's own, to be stopped and started at will; its image comes from the other one."""

import os
import shutil
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.core.docker_runs import engine
from tests.core.sample_runs import tiny_environment

from trainstack.core.images import image
from trainstack.docker_engine.engine_api import connect
from trainstack.errors import TrainstackError

_START_SECONDS = 60.0


class OwnEngine:
    """An engine with folders, a socket and a containerd of its own; it leaves this machine's network rules alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/engine.sock"
        # Without a bridge of its own it would take, or with none remove, the one of this machine's other engine.
        self.bridge = f"tstest{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    def make_bridge(self) -> None:
        """Make the network that the engine calls its usual one."""
        for words in (
            ["link", "add", self.bridge, "type", "bridge"],
            ["address", "add", "10.213.47.1/24", "dev", self.bridge],
            ["link", "set", self.bridge, "up"],
        ):
            done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"no network for a second engine: {done.stderr.strip()}")

    def remove_bridge(self) -> None:
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True, check=False)

    def start(self) -> None:
        (self.folder / "engine.pid").unlink(missing_ok=True)
        command = ["dockerd", "--host", self.address, "--data-root", f"{self.folder}/data"]
        command += ["--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/engine.pid"]
        command += ["--iptables=false", "--ip6tables=false", f"--bridge={self.bridge}"]
        with (self.folder / "engine.txt").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                connect(self.address, timeout=5).close()
            except TrainstackError as exc:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.stop()
                    pytest.skip(f"no second engine comes up here: {exc}")
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """Stop it as a machine that shuts down does: its containers end too."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def client(self) -> Any:
        return connect(self.address)


@pytest.fixture(scope="module")
def own_engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[OwnEngine]:
    """An engine that nobody else uses, with the tiny environment's image in it."""
    if shutil.which("dockerd") is None or shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("a second engine takes dockerd, ip and root")
    # A socket's path is short.
    folder = Path(f"/run/trainstack-test-{os.getpid()}")
    folder.mkdir()
    own = OwnEngine(folder)
    try:
        made = image.ensure(*tiny_environment(), engine())
        own.make_bridge()
        own.start()
        _copy(made.reference, own)
        yield own
    finally:
        own.stop()
        own.remove_bridge()
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _unmount(folder: Path) -> None:
    """Let go of what the engine has mounted below its folder."""
    below = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    for place in reversed(below):
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)


def _copy(reference: str, to: OwnEngine) -> None:
    there = to.client()
    try:
        found = engine().images.get(reference)
        there.images.load(found.save(named=True))
    finally:
        there.close()
