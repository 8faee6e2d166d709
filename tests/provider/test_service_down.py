"""A service whose server is gone, after a kill or a reboot: the next plain update starts it again."""

import time

import pytest

from trainstack.core.services.record import ServiceRecord, write_record
from trainstack.core.workspace.workspace import Workspace
from trainstack.provider import resource_log
from trainstack.provider.web_service import WebServiceProvider
from trainstack.storage import locks

STATE = {
    "urn": "u", "workspace": "ws", "name": "s", "port": 0.0,
    "model_name": "m", "model_version": 1.0, "model_digest": "a",
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    monkeypatch.chdir(tmp_path)
    return Workspace.create(tmp_path / "ws", "ws")


@pytest.fixture
def lines(monkeypatch):
    shown = []
    monkeypatch.setattr(resource_log, "_log", lambda urn, text, **_: shown.append(text))
    return shown


def record(workspace, target="local"):
    written = ServiceRecord(
        name="s", model_name="m", model_version=1, model_digest="a", host="127.0.0.1", port=8501, scoring_uri="http://x",
        status="running", python="python", target=target, folder=str(workspace.service("s")),
    )  # fmt: skip
    workspace.service("s").mkdir(parents=True)
    write_record(written)


def diff(news=STATE):
    return WebServiceProvider().diff("s", STATE, {**news})


def test_a_service_without_a_server_starts_again(workspace, lines):
    record(workspace)
    assert diff().changes is True
    assert lines == ["service is down: starts again"]


def test_a_service_with_a_server_is_unchanged(workspace, lines):
    record(workspace)
    with locks.exclusive(workspace.service("s") / "instances" / "0.lock"):
        assert diff().changes is False
    assert lines == []


def test_a_service_that_moves_while_it_is_down_still_moves(workspace):
    record(workspace)
    assert diff({**STATE, "workspace": "elsewhere"}).replaces == ["workspace"]


def test_a_service_that_an_engine_starts_again_is_left_to_it(workspace):
    record(workspace, "docker")
    assert diff().changes is False


def test_another_machines_service_is_left_alone(workspace):
    assert diff().changes is False


def test_looking_costs_about_nothing(workspace):
    record(workspace)
    with locks.exclusive(workspace.service("s") / "instances" / "0.lock"):
        diff()
        begun = time.perf_counter()
        for _ in range(20):
            diff()
    assert (time.perf_counter() - begun) / 20 < 0.02
