"""Compute: sizes against the machine, and nodes that runs wait for."""

import subprocess
import sys
import threading
import time

import pytest

from trainstack.core.compute import compute
from trainstack.core.compute.compute import Capacity, ComputeSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, TrainstackError

BIG = Capacity(cpus=24, memory_gib=224, gpus=4)


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "ws", "ws")


def test_a_compute_is_created_once_and_found_after(workspace):
    spec = ComputeSpec(name="cpu")
    assert compute.ensure(workspace, spec) is False
    assert compute.ensure(workspace, spec) is True


def test_no_size_shares_the_machine_evenly():
    assert compute.node_capacity(ComputeSpec(name="c", max_nodes=4), BIG) == Capacity(cpus=6, memory_gib=56, gpus=1)


def test_a_known_size_maps_to_what_it_holds():
    spec = ComputeSpec(name="c", vm_size="Standard_NC6", max_nodes=4)
    assert compute.node_capacity(spec, BIG) == Capacity(cpus=6, memory_gib=56, gpus=1)


def test_more_nodes_than_the_machine_holds_are_refused():
    with pytest.raises(InvalidInputError, match=r"max_nodes 5 of STANDARD_NC6 .*24 CPUs.*at most 4"):
        compute.node_capacity(ComputeSpec(name="c", vm_size="STANDARD_NC6", max_nodes=5), BIG)


def test_more_nodes_than_cpus_are_refused():
    with pytest.raises(InvalidInputError, match="max_nodes 25"):
        compute.node_capacity(ComputeSpec(name="c", max_nodes=25), BIG)


def test_a_size_without_a_gpu_to_spare_is_refused():
    holds = Capacity(cpus=24, memory_gib=224)
    with pytest.raises(InvalidInputError, match="0 GPUs"):
        compute.node_capacity(ComputeSpec(name="c", vm_size="STANDARD_NC6"), holds)


def test_an_unknown_size_names_those_that_are_close():
    with pytest.raises(InvalidInputError, match="Standard_NC6"):
        compute.node_capacity(ComputeSpec(name="c", vm_size="STANDARD_NC7"), BIG)


def test_fewer_nodes_at_most_than_at_least_are_refused():
    with pytest.raises(InvalidInputError, match="min_nodes 3 is over max_nodes 2"):
        compute.node_capacity(ComputeSpec(name="c", min_nodes=3, max_nodes=2), BIG)


def held(workspace, spec, count, then):
    with compute.slots(workspace, spec, count, lambda _: None, lambda: False) as nodes:
        then(nodes)


def test_a_run_waits_until_a_node_is_free_and_says_for_what(workspace):
    spec = ComputeSpec(name="c", max_nodes=1)
    said, got = [], []
    with compute.slots(workspace, spec, 1, said.append, lambda: False) as first:
        waiter = threading.Thread(target=lambda: [got.append(nodes) for nodes in [_take(workspace, spec, said)]])
        waiter.start()
        time.sleep(0.5)
        assert first == [0]
        assert got == []
    waiter.join(5)
    assert got == [[0]]
    assert said == ["waiting for 1 of 1 node of c: 0 free"]


def _take(workspace, spec, said):
    with compute.slots(workspace, spec, 1, said.append, lambda: False) as nodes:
        return nodes


def test_a_killed_holder_gives_its_nodes_back(workspace):
    spec = ComputeSpec(name="c", max_nodes=2)
    program = (
        "import sys, time; from pathlib import Path; from trainstack.core.compute import compute;"
        "from trainstack.core.workspace.workspace import Workspace;"
        f"workspace = Workspace.open(Path({str(workspace.root)!r}));"
        "held = compute.slots(workspace, compute.ComputeSpec(name='c', max_nodes=2), 2, print, lambda: False);"
        "held.__enter__(); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
    finally:
        holder.kill()
        holder.wait()
    taken = []
    held(workspace, spec, 2, taken.extend)
    assert taken == [0, 1]


def test_waiting_ends_when_the_run_is_stopped(workspace):
    spec = ComputeSpec(name="c", max_nodes=1)
    with (
        compute.slots(workspace, spec, 1, lambda _: None, lambda: False),
        compute.slots(workspace, spec, 1, lambda _: None, lambda: True) as nodes,
    ):
        assert nodes == []


def test_more_nodes_than_the_compute_has_are_refused(workspace):
    with pytest.raises(TrainstackError, match="at most 1"):
        held(workspace, ComputeSpec(name="c"), 2, list)
