"""The provider's process starts beside the program, by a read that the engine refuses."""

import json
import threading
from concurrent import futures

import grpc
import pytest
from pulumi.runtime.proto import resource_pb2_grpc
from tests.end_to_end.project import new_project

from trainstack.components import early_provider

PROGRAM = """import trainstack as ts
ts.Workspace("w")
"""


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """A monitor that keeps what it was asked to read, and answers when it may."""

    def __init__(self):
        self.asked = []
        self.received, self.may_answer = threading.Event(), threading.Event()

    def ReadResource(self, request, context):
        self.asked.append(request)
        self.received.set()
        self.may_answer.wait(10)
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "invalid dependency")


@pytest.fixture
def monitor(monkeypatch):
    servicer, server = Monitor(), grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    stub = resource_pb2_grpc.ResourceMonitorStub(grpc.insecure_channel(address))
    monkeypatch.setattr(early_provider, "get_monitor", lambda: stub)
    yield servicer
    servicer.may_answer.set()
    server.stop(None)


def test_the_program_does_not_wait_for_the_provider(monitor):
    early_provider.start()
    assert monitor.received.wait(10)
    assert not monitor.may_answer.is_set()
    assert [(it.type.partition(":")[0], list(it.dependencies)) for it in monitor.asked] == [("pulumi-python", ["none"])]


def test_without_an_engine_nothing_is_asked(monkeypatch):
    for none in (None, object()):  # Outside of a program, and under Pulumi's mocks.
        monkeypatch.setattr(early_provider, "get_monitor", lambda none=none: none)
        before = threading.active_count()
        early_provider.start()
        assert threading.active_count() == before


def test_provider_starts_before_the_first_resource(tmp_path):
    project = new_project(tmp_path)
    project.write("__main__.py", PROGRAM)
    project.variables["PULUMI_DEBUG_GRPC"] = str(tmp_path / "calls.json")
    shown = project.preview().text
    calls = [json.loads(line) for line in (tmp_path / "calls.json").read_text().splitlines()]
    provider = next(at for at, it in enumerate(calls) if it["method"].startswith("/pulumirpc.ResourceProvider/"))
    first = next(at for at, it in enumerate(calls) if it["request"].get("type", "").endswith("trainstack:Workspace"))
    assert provider < first
    assert not any(it["method"] == "/pulumirpc.ResourceProvider/Read" for it in calls)
    assert "+ 3 to create" in shown
