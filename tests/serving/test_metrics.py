"""What a server counts, as Prometheus reads it."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.served import Served

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
    # Workers write down their counts about once a second.
    time.sleep(2.5)
    found = scraped(server)
    model = found["trainstack_model"].samples[0]
    assert (model.labels["name"], model.labels["version"], model.labels["digest"]) == ("zoo", "3", "d1g")
    requests = found["trainstack_requests"]

    def count(verb: str, status: str) -> float:
        labels = {"verb": verb, "status": status, "version": "3"}
        return value(requests, "trainstack_requests_total", labels)

    assert [count("predict", "200"), count("predict", "400"), count("infer", "200")] == [17, 3, 1]
    assert count("other", "404") == 1
    seconds = found["trainstack_request_seconds"]
    assert seconds.type == "histogram"
    for verb, times in {"predict": 20, "infer": 1}.items():
        assert value(seconds, "trainstack_request_seconds_count", {"verb": verb}) == times
        buckets = [one for one in seconds.samples if one.name.endswith("_bucket") and one.labels["verb"] == verb]
        values = [one.value for one in buckets]
        assert values == sorted(values)
        assert (buckets[-1].labels["le"], values[-1]) == ("+Inf", times)
    assert 0 < value(seconds, "trainstack_request_seconds_sum", {"verb": "infer"}) < elapsed


def test_made_up_paths_do_not_make_series(server: Served):
    for number in range(300):
        server.client.get(f"/made/up/{number}")
    requests = scraped(server)["trainstack_requests"]
    assert {one.labels["verb"] for one in requests.samples} == {"other"}
