"""What a queue is on a cluster, against Kueue's own definitions where the cluster has them."""

import json
import subprocess

import pytest
from tests.core.kubernetes_runs import access, needs_cluster, needs_kubectl

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.base import Capacity
from trainstack.targets.kubernetes.api import kueue
from trainstack.targets.kubernetes.checks import queue
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import queue_objects
from trainstack.targets.kubernetes.objects.queue_objects import QueueSpec

NODE = Capacity(cpus=4, memory_gib=16, gpus=1)
FULL = QueueSpec(
    namespace="trainstack-tests",
    quota={"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": "8"},
    borrowing={"nvidia.com/gpu": "4"},
    lending={"cpu": "32"},
    cohort="research",
    fair_weight=2,
    priorities={"urgent": 1000, "batch": -10},
    node_labels={"pool": "gpus"},
    tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
)


def serves_kueue() -> bool:
    try:
        access().custom.get_api_resources(kueue.GROUP, kueue.VERSION)
    except Exception:  # noqa: BLE001
        return False
    return True


def of(spec, kind):
    return [each for each in queue_objects.objects("team-a", "prod", spec) if each["kind"] == kind]


@needs_cluster
@needs_kubectl
@pytest.mark.parametrize("spec", [FULL, QueueSpec(namespace="trainstack-tests", quota={"nvidia.com/gpu": "2"})])
def test_kueue_takes_every_field_of_a_queue(spec):
    if not serves_kueue():
        pytest.skip("the cluster has no Kueue")
    objects = queue_objects.objects("trainstack-tests-strict", "prod", spec)
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = ["kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-"]
    answer = subprocess.run(command, input=document, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == len(objects)


def test_a_queue_has_quotas_a_cohort_and_priorities():
    (cluster_queue,) = of(FULL, "ClusterQueue")
    spec = cluster_queue["spec"]
    (group,) = spec["resourceGroups"]
    assert {each["name"]: each["nominalQuota"] for each in group["flavors"][0]["resources"]} == FULL.quota
    assert group["flavors"][0]["resources"][2]["borrowingLimit"] == "4"
    assert spec["cohortName"] == "research"
    assert spec["preemption"] == {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"}
    assert spec["fairSharing"] == {"weight": "2"}
    classes = {each["metadata"]["name"]: each["value"] for each in of(FULL, "WorkloadPriorityClass")}
    assert classes == {"team-a-urgent": 1000, "team-a-batch": -10}


def test_queues_of_a_cohort_share_their_flavor_as_kueue_lends_within_one_alone():
    others = QueueSpec(namespace="n", quota={"cpu": "1"}, cohort="research", node_labels=FULL.node_labels)
    plain = QueueSpec(namespace="n", quota={"cpu": "1"}, cohort="research")
    assert queue_objects.flavor_name("a", plain) == queue_objects.flavor_name("b", plain) == "research"
    assert queue_objects.flavor_name("a", FULL) == queue_objects.flavor_name("b", FULL) != "research"
    assert queue_objects.flavor_name("a", others) not in ("research", queue_objects.flavor_name("a", FULL))
    assert queue_objects.flavor_name("a", QueueSpec(namespace="n", quota={})) == "a"
    (flavor,) = of(FULL, "ResourceFlavor")
    (cluster_queue,) = of(FULL, "ClusterQueue")
    assert flavor["metadata"]["name"] == cluster_queue["spec"]["resourceGroups"][0]["flavors"][0]["name"]
    assert "trainstack.stack" not in flavor["metadata"]["labels"]


def test_what_a_quota_leaves_out_is_not_limited():
    (cluster_queue,) = of(QueueSpec(namespace="n", quota={"nvidia.com/gpu": "2"}, preemption=False), "ClusterQueue")
    (group,) = cluster_queue["spec"]["resourceGroups"]
    assert group["coveredResources"] == ["cpu", "memory", "nvidia.com/gpu"]
    assert cluster_queue["spec"]["preemption"]["withinClusterQueue"] == "Never"


def test_what_a_run_may_ever_hold_is_the_quota_and_what_may_be_borrowed():
    assert FULL.limits == {"nvidia.com/gpu": "12"}
    assert QueueSpec(namespace="n", quota={"cpu": "4"}).limits == {"cpu": "4"}


@pytest.mark.parametrize(
    ("limits", "nodes", "said"),
    [
        ({"cpu": "16"}, 4, ""),
        ({"cpu": "15"}, 4, "4 nodes ask for cpu 16, and queue team-a allows 15 with all that it may borrow"),
        ({"nvidia.com/gpu": "1"}, 2, "2 nodes ask for nvidia.com/gpu 2, and queue team-a allows 1"),
        ({}, 1000, ""),
    ],
)
def test_a_run_that_a_queue_never_admits_is_refused(limits, nodes, said):
    config = KubernetesConfig(queue="team-a", queue_limits=limits)
    if not said:
        queue.check(config, NODE, nodes, 1)
        return
    with pytest.raises(InvalidInputError, match=said):
        queue.check(config, NODE, nodes, 1)


@needs_cluster
def test_a_queue_that_is_not_there_is_one_line():
    config = KubernetesConfig(namespace="trainstack-tests", queue="no-such")
    said = "there is no queue 'no-such' in namespace" if serves_kueue() else "serves no Kueue"
    with pytest.raises(TrainstackError, match=said):
        queue.check(config, NODE, 1, 10)


def test_kueues_words_are_those_of_its_conditions():
    waits = {"type": "QuotaReserved", "status": "False", "message": "insufficient unused quota\n for cpu"}
    evicted = {"type": "Evicted", "status": "True", "reason": "Preempted", "message": "to accommodate a workload"}
    assert kueue.pending_words({"status": {"conditions": [waits]}}) == "insufficient unused quota for cpu"
    assert kueue.pending_words({"status": {"conditions": [{"type": "Admitted", "status": "True"}, waits]}}) == ""
    assert kueue.pending_words({}) == ""
    assert kueue.evicted_words({"status": {"conditions": [evicted]}}) == "to accommodate a workload"
    assert kueue.evicted_words({"status": {"conditions": [{**evicted, "reason": "PodsReadyTimeout"}]}}) == ""
