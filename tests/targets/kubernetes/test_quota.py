"""Whether quotas can hold the pods of a run."""

import pytest
from tests.core.kubernetes_runs import access, needs_cluster

from trainstack.errors import InvalidInputError
from trainstack.targets.base import Capacity
from trainstack.targets.kubernetes.checks import quota
from trainstack.targets.kubernetes.config import KubernetesConfig

NODE = Capacity(cpus=4, memory_gib=16, gpus=1)


def cluster(**hard):
    return KubernetesConfig(context="prod", quota=hard)


@pytest.mark.parametrize(
    "hard",
    [
        {"requests.cpu": "8"},
        {"cpu": "8000m", "pods": "2"},
        {"requests.memory": "32Gi", "memory": "32Gi"},
        {"requests.nvidia.com/gpu": "2", "services": "0"},
    ],
)
def test_nodes_that_a_quota_just_holds_are_taken(hard):
    quota.check(cluster(**hard), NODE, 2)


@pytest.mark.parametrize(
    ("hard", "said"),
    [
        (
            {"requests.cpu": "7"},
            "2 nodes ask for requests.cpu 8, and its quota allows 7 in namespace trainstack",
        ),
        ({"memory": "31Gi"}, "memory 32Gi, and its quota allows 31Gi"),
        ({"limits.cpu": "8"}, "limits.cpu 9, and its quota allows 8"),
        ({"pods": "1"}, "pods 2, and its quota allows 1"),
        ({"requests.nvidia.com/gpu": "1"}, "requests.nvidia.com/gpu 2"),
        ({"cpu": "lots"}, "write quantities like 16, 500m or 64Gi"),
    ],
)
def test_what_a_quota_never_holds_is_one_line(hard, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        quota.check(cluster(**hard), NODE, 2)
    assert "\n" not in str(caught.value)


@needs_cluster
def test_a_quota_that_the_namespace_has_is_asked_for(monkeypatch):
    monkeypatch.setattr(quota, "_quotas", {})
    place = KubernetesConfig(namespace="trainstack-tests-quotas")
    core = access().core
    core.create_namespace({"metadata": {"name": place.namespace}})
    try:
        body = {"metadata": {"name": "tight"}, "spec": {"hard": {"requests.cpu": "4"}}}
        core.create_namespaced_resource_quota(place.namespace, body)
        quota.check_found(place, NODE, 1, 10)
        with pytest.raises(InvalidInputError, match=r"2 nodes ask for requests.cpu 8, and quota tight allows 4"):
            quota.check_found(place, NODE, 2, 10)
        # The compute's own is what it says now, not what it said before.
        quota.check_found(place.model_copy(update={"declared_as": "tight"}), NODE, 2, 10)
    finally:
        core.delete_namespace(place.namespace)
