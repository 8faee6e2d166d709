"""What a server counts, as Prometheus reads it."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.server.served import Served, free_port, workers
from tests.waiting import until

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def server(serving_python: Path, dense: Path, tmp_path: Path) -> Iterator[Served]:
    server = Served(serving_python, dense, tmp_path / "log.txt", "--workers", "2")
    yield server.ready()
    server.end()


def scraped(server: Served) -> dict[str, Metric]:
    answer = server.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {metric.name: metric for metric in text_string_to_metric_families(answer.text)}


def value(metric: Metric, name: str, labels: Mapping[str, str]) -> float:
    return sum(one.value for one in metric.samples if one.name == name and labels.items() <= one.labels.items())


def test_requests_and_latencies_of_all_workers_are_counted(server: Served):
    begun = time.perf_counter()
    for _ in range(7):
        assert server.predict(inputs=[[1, 2, 3, 4]]).status_code == 200
    for _ in range(3):
        assert server.predict(inputs=[[1, 2]]).status_code == 400
    infer = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    assert server.client.post("/v2/models/zoo/infer", json=infer).status_code == 200
    assert server.client.get("/v1/models/other").status_code == 404
    elapsed = time.perf_counter() - begun
    # On connections of their own, so that the other worker has some.
    for _ in range(10):
        server.predict(inputs=[[1, 2, 3, 4]])
        server.client.get("/v2/health/live", headers={"Connection": "close"})

    def counts() -> list[float]:
        requests = scraped(server)["trainstack_requests"]
        answers = [("predict", "200"), ("predict", "400"), ("infer", "200"), ("other", "404")]
        return [
            value(requests, "trainstack_requests_total", {"verb": verb, "status": status, "version": "3"})
            for verb, status in answers
        ]

    # Workers write down their counts about once a second.
    until(lambda: counts() == [17, 3, 1, 1], 15)
    metrics = scraped(server)
    model = metrics["trainstack_model"].samples[0]
    assert (model.labels["name"], model.labels["version"], model.labels["digest"]) == ("zoo", "3", "d1g")
    seconds = metrics["trainstack_request_seconds"]
    assert seconds.type == "histogram"
    for verb, times in {"predict": 20, "infer": 1}.items():
        assert value(seconds, "trainstack_request_seconds_count", {"verb": verb}) == times
        buckets = [one for one in seconds.samples if one.name.endswith("_bucket") and one.labels["verb"] == verb]
        values = [one.value for one in buckets]
        assert values == sorted(values)
        assert (buckets[-1].labels["le"], values[-1]) == ("+Inf", times)
    assert 0 < value(seconds, "trainstack_request_seconds_sum", {"verb": "infer"}) < elapsed


def in_flight(server: Served) -> float:
    return scraped(server)["trainstack_requests_in_flight"].samples[0].value


def test_requests_in_flight_include_unread_and_incomplete_ones(server: Served):
    until(lambda: in_flight(server) < 0.5)
    head = b"POST /v1/models/zoo:predict HTTP/1.1\r\nHost: here\r\nContent-Length: 30\r\n\r\n{"
    with contextlib.ExitStack() as open_:
        for _ in range(6):
            connection = socket.create_connection(("127.0.0.1", server.port))
            open_.enter_context(connection).sendall(head)
        # The mean of ten seconds, in which there were none at first.
        until(lambda: in_flight(server) > 3, 15)
        assert in_flight(server) < 7.5
    until(lambda: in_flight(server) < 1, 15)


def test_the_metrics_port_serves_metrics_alone_without_a_key(serving_python: Path, dense: Path, tmp_path: Path):
    key, port = tmp_path / "key", free_port()
    key.write_text("hush")
    options = ("--workers", "2", "--key-file", str(key), "--metrics-port", str(port))
    server = Served(serving_python, dense, tmp_path / "log.txt", *options).ready()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as scraper:
        assert "trainstack_requests_in_flight" in scraper.get("/metrics").text
        assert scraper.get("/v1/models/zoo").status_code == 404
        assert scraper.post("/metrics", content=b"{}").status_code == 405
        assert server.client.get("/metrics").status_code == 401
        [first, *_] = workers(server.process.pid)
        os.kill(first, signal.SIGKILL)
        until(lambda: first not in workers(server.process.pid) and len(workers(server.process.pid)) == 2)
        until(lambda: answers(scraper), 30)
    server.end()


def answers(scraper: httpx.Client) -> bool:
    try:
        return scraper.get("/metrics").status_code == 200
    except httpx.TransportError:
        return False


def test_made_up_paths_do_not_make_series(server: Served):
    for number in range(300):
        server.client.get(f"/made/up/{number}")
    requests = scraped(server)["trainstack_requests"]
    assert {one.labels["verb"] for one in requests.samples} == {"other"}
