"""How a program says what a node holds."""

import json

import pulumi
import pytest
from pulumi.runtime import mocks


class Recorder(mocks.Mocks):
    def __init__(self):
        self.inputs = {}

    def new_resource(self, args):
        self.inputs[args.name] = args.inputs
        return f"{args.name}-id", {**args.inputs, "root": "ws", "node": {"cpus": 1, "memory_gib": 1, "gpus": 0}}

    def call(self, args):
        return {}, None


@pytest.fixture
def declare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    recorder = Recorder()
    mocks.set_mocks(recorder, project="shop", stack="prod")

    def declare(config=None, **arguments):
        import trainstack as ts

        pulumi.runtime.set_all_config({"trainstack:sizes": json.dumps(config)} if config else {})

        @pulumi.runtime.test
        def run():
            sizes = {"Big": ts.Node(cpus=16, memory_gib=64, gpus=2, gpu="nvidia-l4", price=2.5)}
            workspace = ts.Workspace("ws", ts.WorkspaceArgs(sizes=sizes))
            return ts.Compute("c", ts.ComputeArgs(workspace=workspace, **arguments)).node

        run()
        return recorder.inputs["c"]

    yield declare
    pulumi.runtime.set_all_config({})


def test_a_node_is_what_it_holds(declare):
    import trainstack as ts

    inputs = declare(node=ts.Node(cpus=8, memory_gib=32, gpus=1, gpu="nvidia-l4"))
    assert inputs["node_size"] == {"cpus": 8, "memory_gib": 32, "gpus": 1, "gpu": "nvidia-l4"}
    assert inputs.get("vm_size") is None


def test_a_name_is_the_workspaces_or_the_stacks(declare):
    assert declare(vm_size="big")["node_size"]["cpus"] == 16
    inputs = declare({"big": {"cpus": 4, "memory_gib": 8}}, vm_size="BIG")
    assert (inputs["vm_size"], inputs["node_size"]) == ("BIG", {"cpus": 4, "memory_gib": 8, "gpus": 0})
    assert declare(vm_size="g6.xlarge").get("node_size") is None


def test_a_node_and_a_name_at_once_are_refused(declare):
    import trainstack as ts

    with pytest.raises(pulumi.RunError, match="node or vm_size, not both"):
        declare(node=ts.Node(cpus=1, memory_gib=1), vm_size="g6.xlarge")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"big": 4}, "trainstack:sizes: big: say what a node holds"),
        ({"big": {"cpu": 4, "memory_gib": 8}}, "Node has no argument 'cpu': did you mean 'cpus'"),
        (["big"], "trainstack:sizes must map names"),
    ],
)
def test_sizes_of_a_stack_that_are_none_are_one_line(declare, config, said):
    with pytest.raises(pulumi.RunError, match=said):
        declare(config, vm_size="big")
