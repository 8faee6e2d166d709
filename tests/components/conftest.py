"""A program under Pulumi's mocks, which note what it registers."""

import pytest
from pulumi.runtime import mocks

from trainstack.targets.kubernetes.objects import namespace


class Recorder(mocks.Mocks):
    def __init__(self):
        self.resources = {}

    def new_resource(self, args):
        self.resources[args.typ, args.name] = dict(args.inputs)
        computed = {"version": 1, "digest": "d" * 64, "directory": ".trainstack/ws/runs/r1", "run_id": "r1"}
        return f"{args.name}-id", {**args.inputs, **computed, "metrics": {"accuracy": 0.98}}

    def call(self, args):
        return {}, None


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: graph\nruntime: python\n")
    recorder = Recorder()
    mocks.set_mocks(recorder, project="graph", stack="test")
    return recorder


class ClusterRecorder(Recorder):
    """Answers as what is declared on a cluster does."""

    def new_resource(self, args):
        self.resources[args.typ, args.name] = args.inputs
        return f"{args.name}-id", {**args.inputs, "root": "ws", "node": {"cpus": 1, "memory_gib": 1, "gpus": 0}}


@pytest.fixture
def cluster_recorder(tmp_path, monkeypatch):
    """The same for the stack `prod` of project `shop`, in a namespace that nobody has looked at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(namespace, "look", lambda *_: None)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    recorder = ClusterRecorder()
    mocks.set_mocks(recorder, project="shop", stack="prod")
    return recorder
