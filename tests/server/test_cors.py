"""Web pages whose scripts may use a service, against a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.served import Served

pytestmark = pytest.mark.tensorflow
PAGE = "https://app.example.com"
PATH = "/v1/models/zoo:predict"
BODY = {"instances": [[1, 2, 3, 4]]}


@pytest.fixture(scope="module", params=["key", "no key"])
def server(
    request: pytest.FixtureRequest, serving_python: Path, dense: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("cors")
    (folder / "key").write_text("the-key")
    options = ["--key-file", str(folder / "key")] if request.param == "key" else []
    served = Served(serving_python, dense, folder / "log.txt", "--cors-origin", PAGE, *options)
    yield served.ready()
    served.end()


def test_a_page_that_is_named_asks_first_and_then_gets_its_answer(server: Served):
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    answer = server.client.options(PATH, headers=asks)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert {"content-type", "x-api-key"} < set(answer.headers["access-control-allow-headers"].split(", "))
    for path, status in ((PATH, 200), ("/v1/models/zoo:none", 400)):
        answer = server.client.post(path, json=BODY, headers={"Origin": PAGE, "X-API-Key": "the-key"})
        assert answer.status_code == status
        assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (PAGE, "origin")


def test_a_refusal_before_the_body_reaches_the_page_too(server: Served):
    answer = server.client.post(PATH, json=BODY, headers={"Origin": PAGE, "X-API-Key": "wrong", "Host": "evil.example"})
    assert answer.status_code == 403
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_another_page_is_told_nothing(server: Served):
    for origin in ("https://evil.example", "https://app.example.com.evil.example", "null"):
        for answer in (
            server.client.options(PATH, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
            server.client.post(PATH, json=BODY, headers={"Origin": origin, "X-API-Key": "the-key"}),
        ):
            assert "access-control-allow-origin" not in answer.headers
            assert answer.request.method == "POST" or answer.status_code in (401, 403)
