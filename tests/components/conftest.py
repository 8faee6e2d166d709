"""A program under Pulumi's mocks, which note what it registers."""

import pytest
from pulumi.runtime import mocks


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
