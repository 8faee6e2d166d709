"""The server as a process: how it starts, drains, ends, and what it does not let in."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.server.served import SERVER, Served, workers
from tests.waiting import until

pytestmark = pytest.mark.tensorflow

Start = Callable[..., Served]


@pytest.fixture
def start(serving_python: Path, zoo: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts servers of the zoo, and ends them."""
    servers: list[Served] = []

    def started(*options: str, model: Path = zoo) -> Served:
        servers.append(Served(serving_python, model, tmp_path / f"log-{len(servers)}.txt", *options))
        return servers[-1]

    yield started
    for server in servers:
        server.end()


def turns(server: Served, seconds: float) -> int:
    """How often the model must turn in its loop to take about so long, on this machine, now."""
    server.predict("spin", inputs=1000)
    begun = time.perf_counter()
    server.predict("spin", inputs=50_000)
    return int(50_000 * seconds / (time.perf_counter() - begun))


def gone(pid: int) -> bool:
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.1)
    return False


def test_after_sigterm_only_requests_in_flight_are_answered(start: Start):
    server = start().ready()
    count = turns(server, 3)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(server.predict, "spin", inputs=count)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert not slow.done()
        with pytest.raises(httpx.TransportError), httpx.Client(trust_env=False) as other:
            other.get(f"http://127.0.0.1:{server.port}/healthz")
        assert slow.result(30).json() == {"outputs": count}
    assert server.process.wait(30) == 0


def test_a_lingering_server_answers_and_closes_connections(start: Start):
    server = start("--linger", "2").ready()
    assert "connection" not in server.client.get("/healthz").headers
    server.process.send_signal(signal.SIGTERM)
    until(lambda: server.client.get("/healthz").headers.get("connection") == "close", 1.5)
    with httpx.Client(trust_env=False) as other:
        assert other.get(f"http://127.0.0.1:{server.port}/healthz").headers["connection"] == "close"
    assert server.process.poll() is None
    assert server.process.wait(30) == 0


def test_a_server_that_is_told_to_end_while_it_loads_ends(start: Start):
    server = start()
    until(lambda: "loading" in server.log.read_text(), 60)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0


def test_health_answers_while_predictions_run(start: Start):
    server = start("--threads", "1").ready()
    count = turns(server, 3)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(server.predict, "spin", inputs=count)
        time.sleep(0.3)
        assert server.client.get("/healthz", timeout=1).status_code == 200
        assert not slow.done()
        assert slow.result(30).json() == {"outputs": count}


def test_a_killed_worker_is_replaced(start: Start):
    server = start().ready()
    (worker,) = workers(server.process.pid)
    os.kill(worker, signal.SIGKILL)
    assert gone(worker)
    assert server.ready().predict(inputs=[[1, 2, 3, 4]]).json() == {"outputs": [[40.5, 49.0]]}
    assert workers(server.process.pid) != [worker]


def test_a_killed_server_takes_its_worker_along(start: Start):
    server = start().ready()
    (worker,) = workers(server.process.pid)
    server.process.kill()
    server.process.wait()
    assert gone(worker)


def test_a_body_beyond_the_limit_is_refused_however_it_is_sent(start: Start):
    server = start("--max-body", "1000").ready()
    body = b'{"inputs": [[1, 2, 3, 4]]' + b" " * 1000 + b"}"

    def chunks() -> Iterator[bytes]:
        yield from (body[at : at + 100] for at in range(0, len(body), 100))

    path = "/v1/models/zoo:predict"
    sent = [server.client.post(path, content=body), server.client.post(path, content=chunks())]
    bomb = subprocess.run(["gzip", "-c"], input=body, capture_output=True, check=True).stdout
    assert len(bomb) < 1000
    sent.append(server.client.post(path, content=bomb, headers={"Content-Encoding": "gzip"}))
    for answer in sent:
        assert answer.status_code == 413
        assert answer.json() == {"error": "the request is larger than 1000 bytes: send fewer rows at once"}
    assert server.predict(inputs=[[1, 2, 3, 4]]).status_code == 200


def test_a_client_that_does_not_send_its_body_is_not_waited_for(start: Start):
    server = start("--body-timeout", "0.5").ready()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/models/zoo:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_sample_input_warms_the_model(start: Start, tmp_path: Path):
    for sample in ([[1, 2, 3, 4]], {"signature_name": "pair", "inputs": {"text": ["a"], "numbers": [[1]]}}):
        file = tmp_path / "sample.json"
        file.write_text(json.dumps(sample))
        assert start("--sample-input", str(file)).ready().client.get("/healthz").status_code == 200


def test_a_sample_input_that_the_model_refuses_ends_the_server(start: Start, tmp_path: Path):
    file = tmp_path / "sample.json"
    file.write_text("[[1, 2]]")
    server = start("--sample-input", str(file))
    assert server.process.wait(60) == 1
    assert "the model refuses its sample input: input 'x' has shape [1, 2]" in server.log.read_text()


def test_a_folder_without_a_saved_model_ends_the_server(start: Start, tmp_path: Path):
    server = start(model=tmp_path)
    assert server.process.wait(60) == 1
    assert f"{tmp_path} is not a SavedModel: it has no saved_model.pb" in server.log.read_text()


def test_a_damaged_saved_model_ends_the_server(start: Start, tmp_path: Path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 100)
    server = start(model=tmp_path)
    assert server.process.wait(60) == 1
    assert "saved_model.pb is damaged" in server.log.read_text()


def test_a_taken_port_ends_the_server_before_it_loads(start: Start, serving_python: Path, zoo: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [serving_python, SERVER, "--model-path", zoo, "--model-name", "zoo", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken by another process" in ended.stderr
    assert "loading" not in ended.stderr


def test_two_servers_do_not_share_a_port(start: Start, serving_python: Path, zoo: Path):
    first = start().ready()
    command = [serving_python, SERVER, "--model-path", zoo, "--model-name", "zoo", "--port", str(first.port)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert f"port {first.port} on 127.0.0.1 is taken" in ended.stderr
