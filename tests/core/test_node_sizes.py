"""Names of machines against their vendors' own figures, and what a node's numbers come to."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from trainstack.core.compute import allocatable, compute, node_sizes
from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.compute.prices import Prices
from trainstack.errors import InvalidInputError
from trainstack.targets.compute_spec import NodeSize

VENDORS = [
    row
    for row in csv.reader(Path(__file__).with_name("vendor_sizes.tsv").read_text().splitlines(), delimiter="\t")
    if not row[0].startswith("#")
]
PROMISED = {"name": "c", "target": "kubernetes", "max_nodes": 2}


def test_a_hundred_names_of_three_clouds_hold_what_their_vendors_say():
    assert len(VENDORS) >= 100
    differing = []
    for name, cpus, memory, gpus, gpu in VENDORS:
        size = node_sizes.lookup(name)
        found = (size.name, size.cpus, size.memory_gib, size.gpus, size.gpu or "-")
        if found != (name, int(cpus), float(memory), int(gpus), gpu):
            differing.append((name, found))
    assert not differing


def test_every_line_of_the_table_is_a_size():
    sizes = list(node_sizes.sizes())
    assert len(sizes) > 2000
    assert len({size.name.lower() for size in sizes}) == len(sizes)
    for size in sizes:
        assert size.cpus >= 1
        assert size.memory_gib > 0
        assert bool(size.gpus) == bool(size.gpu) == bool(size.gpu_memory_gib)
        assert size.spot_price is None or 0 < size.spot_price <= (size.price or 0)


def test_googles_custom_machines_say_themselves_what_they_hold():
    size = node_sizes.lookup("n2-custom-8-16384")
    assert (size.cpus, size.memory_gib, size.price) == (8, 16, None)


def test_an_unknown_name_is_told_what_is_near_and_the_other_ways():
    with pytest.raises(InvalidInputError, match=r"did you mean g5\.2xlarge.*node=ts\.Node.*WorkspaceArgs\(sizes="):
        node_sizes.lookup("g5.2xlage")


def test_no_table_is_read_without_a_name():
    program = (
        "from trainstack.core.compute import node_sizes as n\n"
        "n.of_compute({}); n.of_compute({'node_size': {'cpus': 1, 'memory_gib': 2}})\n"
        "print(n._table.cache_info().currsize)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "0"


@pytest.mark.parametrize(
    ("cpus", "memory", "left"),
    # What the vendors' own pages say that a node of this size leaves: the pod asks for less.
    [
        (4, 16, (3.92, 13.3)),
        (4, 15, (3.92, 12.3)),
        (4, 16, (3.86, 12.9)),
        (8, 30, (7.91, 26.6)),
        (96, 360, (95.69, 346.4)),
    ],
)
def test_a_pod_asks_for_less_than_a_machine_leaves(cpus, memory, left):
    assert cpus - allocatable.reserved_cpus(cpus) < left[0]
    assert allocatable.memory_gib(memory) < left[1]
    assert allocatable.memory_gib(memory) > 0.75 * memory


def test_on_a_cluster_a_machines_name_means_what_it_leaves_and_numbers_mean_the_pod():
    machine = compute.node_capacity(ComputeSpec(**PROMISED, vm_size="n1-standard-8"))
    assert machine.cpus - machine.reserved_cpus < 7.91
    assert machine.memory_gib < 26.6
    pod = compute.node_capacity(ComputeSpec(**PROMISED, node_size=NodeSize(cpus=8, memory_gib=30)))
    assert (pod.cpus, pod.reserved_cpus, pod.memory_gib) == (8, 0, 30)


def test_a_model_without_gpus_is_refused():
    with pytest.raises(ValueError, match="needs gpus=1"):
        NodeSize(cpus=1, memory_gib=1, gpu="nvidia-l4")


@pytest.mark.parametrize(
    ("node", "hourly"),
    [
        ({"vm_size": "g6.xlarge"}, 0.8048),
        ({"vm_size": "a2-highgpu-1g", "priority": "low"}, 1.102),
        # No list that the table is drawn from has spot prices of AWS.
        ({"vm_size": "g6.xlarge", "priority": "low"}, 0.8048 * 0.2),
        ({"node_size": {"cpus": 2, "memory_gib": 4, "price": 3.0}}, 3.0),
        ({"node_size": {"cpus": 2, "memory_gib": 4, "price": 3.0, "spot_price": 1.0}, "priority": "low"}, 1.0),
        # Google's g2-standard-8 holds this, and nothing that costs less does.
        ({"node_size": {"cpus": 8, "memory_gib": 32, "gpus": 1, "gpu": "nvidia-l4"}}, 0.8536),
        ({"vm_size": "big", "node_size": {"cpus": 2, "memory_gib": 4, "price": 3.0}}, 3.0),
        ({"target": "local"}, None),
    ],
)
def test_a_node_costs_what_its_size_says_or_the_cheapest_that_holds_it(node, hourly):
    assert Prices().hourly(node) == pytest.approx(hourly)
