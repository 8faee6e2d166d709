"""What a queue declares, under Pulumi's mocks."""

import pulumi
import pytest


@pytest.fixture
def declare(cluster_recorder):
    def declare(compute=None, **arguments):
        import trainstack as ts

        @pulumi.runtime.test
        def run():
            queue = ts.Queue("vision", ts.QueueArgs(**{"quota": {"cpu": 8}, **arguments}))
            where = ts.KubernetesArgs(**{"queue": queue, **(compute or {})})
            args = ts.ComputeArgs(
                workspace=ts.Workspace("ws"),
                target="kubernetes",
                node=ts.Node(cpus=1, memory_gib=2),
                kubernetes=where,
            )
            return ts.Compute("k", args).node

        run()
        return cluster_recorder.resources

    return declare


def test_a_queue_is_declared_and_a_compute_goes_through_it(declare):
    resources = declare(
        {"priority_class": "urgent"},
        quota={"cpu": 8, "nvidia.com/gpu": 2},
        cohort="research",
        borrowing={"cpu": 4},
        priorities={"urgent": 100},
    )
    kinds = {typ.rpartition(":")[2]: inputs for (typ, _), inputs in resources.items() if "kueue" in typ}
    assert kinds.keys() == {"ResourceFlavor", "ClusterQueue", "LocalQueue", "WorkloadPriorityClass"}
    assert kinds["WorkloadPriorityClass"]["value"] == 100
    assert kinds["LocalQueue"]["metadata"]["namespace"] == "trainstack"
    config = next(inputs for (_, name), inputs in resources.items() if name == "k" and "kubernetes" in inputs)
    assert config["kubernetes"]["queue"] == "vision-shop-prod"
    assert config["kubernetes"]["priority_class"] == "vision-shop-prod-urgent"
    assert config["kubernetes"]["queue_limits"] == {"cpu": "12"}


@pytest.mark.parametrize(
    ("compute", "arguments", "said"),
    [
        ({"priority_class": "late"}, {"priorities": {"urgent": 1}}, r"'late' is none of queue .*priorities \(urgent\)"),
        ({"queue": None, "priority_class": "urgent"}, {}, "priority_class is of a queue"),
        ({"namespace": "other"}, {}, "is in namespace trainstack, the compute in other"),
        ({}, {"borrowing": {"cpu": 1}}, "borrowing is between queues of a cohort"),
        ({}, {"cohort": "c", "lending": {"memory": 1}}, "lending of memory, of which it has no quota"),
        ({}, {"quota": {"cpu": "lots"}}, "cpu: 'lots' is no quantity"),
    ],
)
def test_what_cannot_be_is_one_line(declare, compute, arguments, said):
    with pytest.raises(pulumi.RunError, match=said):
        declare(compute, **arguments)
