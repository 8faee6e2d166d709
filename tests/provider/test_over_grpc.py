"""Pulumi's own provider process with our classes in it, spoken to as the engine does, against a fake engine."""

import base64
import os
import subprocess
import sys
from concurrent import futures

import dill
import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from trainstack.core.workspace.workspace import Workspace
from trainstack.provider.lazy_providers import LazyComputeProvider, LazyTrainingRunProvider

URN = "urn:pulumi:test::trainstack::trainstack:index:TrainingRun$pulumi-python:dynamic/trainstack:TrainingRun::sum"


class FakeEngine(engine_pb2_grpc.EngineServicer):
    def __init__(self):
        self.logs = []
        self.address = ""

    def Log(self, request, context):
        self.logs.append(request)
        return empty_pb2.Empty()


@pytest.fixture
def fake_engine():
    engine = FakeEngine()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    engine.address = f"127.0.0.1:{port}"
    yield engine
    server.stop(0)


@pytest.fixture
def provider(fake_engine, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.dynamic", fake_engine.address],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PULUMI_PROJECT": "trainstack"},
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    process.kill()
    process.wait()


def struct(values):
    return json_format.ParseDict(values, struct_pb2.Struct())


def plain(message):
    return json_format.MessageToDict(message)


@pytest.fixture
def inputs(tmp_path):
    Workspace.create(tmp_path / "ws", "ws")
    source = tmp_path / "scripts"
    source.mkdir()
    (source / "train.py").write_text("import sys; print(sys.argv); open('outputs/x', 'w').write('1')")
    return {
        "__provider": serialize_provider(LazyTrainingRunProvider()),
        "workspace": str(tmp_path / "ws"),
        "urn": URN,
        "name": "sum",
        "source_directory": str(source),
        "script": "train.py",
        "arguments": {"--lr": 0.1},
        "datasets": {},
        "environment_spec": {"name": "tiny", "packages": ["six==1.17.0"]},
        "environment": {},
        "environment_variables": {},
        "secret_variables": {},
        "distribution": {"kind": "single"},
        "compute": {"name": "local"},
        "grace": 10,
        "trigger": "",
    }


def checked(provider, values):
    answer = provider.Check(provider_pb2.CheckRequest(urn=URN, olds=struct({}), news=struct(values)))
    return plain(answer.inputs), [failure.reason for failure in answer.failures]


def test_the_state_holds_the_class_by_name_and_no_code():
    pickled = base64.b64decode(serialize_provider(LazyComputeProvider()))
    assert len(pickled) < 200
    assert isinstance(dill.loads(pickled), LazyComputeProvider)


def test_check_adds_what_the_run_is_made_of(provider, inputs):
    completed, failures = checked(provider, inputs)
    assert failures == []
    assert set(completed["files"]) == {"train.py"}
    assert completed["environment"]["packages"] == {"six": "1.17.0"}
    assert completed["arguments"] == {"--lr": "0.1"}


def test_check_refuses_in_one_line(provider, inputs):
    _, [reason] = checked(provider, {**inputs, "script": "absent.py"})
    assert reason.startswith("script 'absent.py' is not in")
    assert "\n" not in reason


def test_create_shows_progress_and_diff_explains(provider, fake_engine, inputs):
    completed, _ = checked(provider, inputs)
    created = provider.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(completed)))
    state = plain(created.properties)
    assert state["status"] == "completed"
    assert created.id == state["run_id"]
    assert any(log.ephemeral and log.urn == URN and log.message.startswith("started run") for log in fake_engine.logs)

    def diff(values):
        wanted, failures = checked(provider, values)
        assert failures == []
        request = provider_pb2.DiffRequest(id=created.id, urn=URN, olds=struct(state), news=struct(wanted))
        return provider.Diff(request)

    assert diff(inputs).changes == provider_pb2.DiffResponse.DIFF_NONE
    changed = diff({**inputs, "arguments": {"--lr": 0.2}})
    assert list(changed.replaces) == ["arguments"]
    assert fake_engine.logs[-1].message.startswith("will retrain: --lr 0.1 → 0.2; last run took ")
    assert not fake_engine.logs[-1].ephemeral


def test_a_failure_is_our_text_and_no_trace(provider, inputs):
    completed, _ = checked(provider, {**inputs, "workspace": str(inputs["workspace"]) + "-absent"})
    with pytest.raises(grpc.RpcError) as caught:
        provider.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(completed)))
    text = caught.value.details() or ""
    assert text.startswith("no workspace at ")
    assert "Traceback" not in text
