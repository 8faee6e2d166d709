"""A server process that a test starts, and a client to it."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

SERVER = Path(__file__).parents[2] / "components" / "trainstack" / "server"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def workers(pid: int) -> list[int]:
    """The processes that answer, of a server's."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Served:
    """A server process that a test started, and a client to it."""

    def __init__(self, python: Path, model: Path, log: Path, *options: str) -> None:
        self.port = free_port()
        self.log = log
        command = [str(python), str(SERVER), "--model-path", str(model), "--model-name", "zoo"]
        command += ["--model-version", "3", "--model-digest", "d1g", "--port", str(self.port)]
        # Beside the model: what was converted for one test serves the next.
        command += ["--workers", "1", "--state", str(model.parent / "state"), *options]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=60)

    def ready(self) -> "Served":
        for _ in range(1200):
            try:
                if self.client.get("/healthz").status_code == 200:
                    return self
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
        raise AssertionError(f"not ready in 120 s:\n{self.log.read_text()}")

    def predict(self, signature: str = "serving_default", **body: object) -> httpx.Response:
        return self.client.post("/v1/models/zoo:predict", json={"signature_name": signature, **body})

    def end(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
