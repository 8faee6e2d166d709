"""What a pod asks for against the machines that a cluster has."""

import contextlib

import pytest
from tests.core.kubernetes_runs import access, needs_cluster

from trainstack.core.compute import compute
from trainstack.core.compute.compute import ComputeSpec
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.checks import machine_room
from trainstack.targets.kubernetes.config import KubernetesConfig


@contextlib.contextmanager
def node_of(machine, **allocatable):
    core = access().core
    labels = {machine_room.INSTANCE_TYPE: machine}
    taints = [{"key": "trainstack.tests", "effect": "NoSchedule"}]
    body = {"metadata": {"name": "trainstack-tests-machine", "labels": labels}, "spec": {"taints": taints}}
    core.create_node(body)
    try:
        status = {"status": {"capacity": allocatable, "allocatable": allocatable}}
        core.patch_node_status("trainstack-tests-machine", status)
        yield
    finally:
        core.delete_node("trainstack-tests-machine")


@needs_cluster
def test_a_machine_that_is_there_must_have_room_for_a_node():
    holds = compute.node_capacity(ComputeSpec(name="c", target="kubernetes", vm_size="M7I.XLARGE"))
    machine_room.check(KubernetesConfig(), holds, 10)
    with node_of("m7i.xlarge", cpu="3920m", memory="14162Mi"):
        machine_room.check(KubernetesConfig(), holds, 10)
    with (
        node_of("m7i.xlarge", cpu="3920m", memory="9Gi"),
        pytest.raises(
            InvalidInputError, match=r"memory .*Mi, and trainstack-tests-machine, a m7i\.xlarge, has 9Gi: say"
        ),
    ):
        machine_room.check(KubernetesConfig(), holds, 10)


def test_a_node_in_numbers_is_no_machine_and_asks_nobody():
    spec = ComputeSpec(name="c", target="kubernetes", node_size={"cpus": 4, "memory_gib": 16})  # type: ignore[arg-type]
    machine_room.check(KubernetesConfig(context="nowhere"), compute.node_capacity(spec), 10)
