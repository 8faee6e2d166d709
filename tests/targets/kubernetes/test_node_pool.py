"""A compute's pool of machines, against Karpenter's own definitions where the cluster has them."""

import json
import subprocess

import pytest
from tests.core.kubernetes_runs import access, needs_cluster, needs_kubectl

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.checks import karpenter
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import node_pool
from trainstack.targets.kubernetes.objects.node_pool import PoolSpec

GPUS = PoolSpec(
    node_class="EC2NodeClass/default",
    limits={"cpu": "32", "nvidia.com/gpu": "8"},
    min_nodes=1,
    idle_seconds=600,
    spot=True,
    requirements={"node.kubernetes.io/instance-type": ["g6.xlarge"], "topology.kubernetes.io/zone": ["us-east-1a"]},
)


def serves_karpenter() -> bool:
    try:
        access().custom.get_api_resources(node_pool.GROUP, node_pool.VERSION)
    except Exception:  # noqa: BLE001
        return False
    return True


def test_a_pool_is_bounded_goes_when_idle_and_is_for_its_runs_alone():
    grows, stays = node_pool.objects("gpus", "prod", GPUS)
    spec = grows["spec"]
    assert spec["limits"] == {"cpu": "32", "nvidia.com/gpu": "8"}
    assert spec["disruption"] == {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "600s"}
    template = spec["template"]
    assert template["metadata"]["labels"] == {"trainstack.pool": "gpus"}
    assert template["spec"]["taints"] == [{"key": "trainstack.pool", "value": "gpus", "effect": "NoSchedule"}]
    values = {each["key"]: each["values"] for each in template["spec"]["requirements"]}
    assert values["karpenter.sh/capacity-type"] == ["spot"]
    assert values["node.kubernetes.io/instance-type"] == ["g6.xlarge"]
    assert template["spec"]["nodeClassRef"] == {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    assert (stays["spec"]["replicas"], stays["spec"]["limits"]) == (1, {"nodes": 1})
    assert stays["spec"]["template"] == template


@pytest.mark.parametrize("reference", ["default", "Other/default", "EC2NodeClass/", "a/b/c/d"])
def test_a_node_class_that_is_none_is_one_line(reference):
    spec = PoolSpec(node_class=reference, limits={}, min_nodes=0, idle_seconds=1, spot=False)
    with pytest.raises(InvalidInputError, match="is none: write EC2NodeClass/NAME"):
        node_pool.objects("gpus", "prod", spec)


@needs_cluster
@needs_kubectl
def test_karpenter_takes_every_field_of_a_pool():
    if not serves_karpenter():
        pytest.skip("the cluster has no Karpenter")
    own = PoolSpec(node_class="example.com/NodeClass/a", limits={"cpu": "4"}, min_nodes=0, idle_seconds=0, spot=False)
    objects = [
        *node_pool.objects("trainstack-tests-a", "prod", GPUS),
        *node_pool.objects("trainstack-tests-b", "p", own),
    ]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = ["kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-"]
    answer = subprocess.run(command, input=document, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == 3


@needs_cluster
def test_a_cluster_without_karpenter_is_one_line():
    karpenter.check(KubernetesConfig(), 10)
    if serves_karpenter():
        pytest.skip("the cluster has Karpenter")
    with pytest.raises(InvalidInputError, match=r"serves no NodePool \(karpenter\.sh/v1\): install Karpenter there"):
        karpenter.check(KubernetesConfig(pool="gpus"), 10)
