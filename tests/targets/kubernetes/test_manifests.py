"""What a cluster is asked for, without a cluster."""

import json

import pytest
from tests.core.kubernetes_runs import needs_cluster, taken

from trainstack.errors import InvalidInputError
from trainstack.targets.base import Capacity, NodeGroupSpec, RunRef, Runtime
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig, Toleration
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.objects.indexed_job import IndexedJob
from trainstack.targets.kubernetes.objects.run_network import network_policy
from trainstack.targets.kubernetes.transfer import reader_pod


@pytest.fixture
def ref(tmp_path):
    return RunRef(tmp_path / "0123456789abcdef", "89abcdef")


def group(**changes):
    runtime = Runtime("/opt/python", "registry.example/environment@sha256:" + "0" * 64)
    given = {"attempt": 1, "node_count": 2, "runtime": runtime, "holds": Capacity(cpus=2, memory_gib=4)}
    return NodeGroupSpec(**{**given, **changes})


def pod(ref, cluster=None, *, low_priority=False, **changes):
    made = run_objects.job(ref, group(**changes), cluster or KubernetesConfig(), grace=10, low_priority=low_priority)
    return made["spec"]["template"]["spec"]


def test_a_job_completes_per_node_and_is_never_retried(ref):
    job = run_objects.job(ref, group(), KubernetesConfig(), grace=10, low_priority=False)
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (
        "Indexed",
        2,
        2,
        0,
    )
    assert spec["template"]["spec"]["subdomain"] == job["metadata"]["name"]
    assert (
        IndexedJob(KubernetesApi(KubernetesConfig())).host(ref, 1)
        == f"{job['metadata']['name']}-1.{job['metadata']['name']}"
    )


def test_the_cluster_keeps_no_variable_of_the_run(ref):
    given = group(variables={"TOKEN": "hush-hush"})
    objects = [
        run_objects.job(ref, given, KubernetesConfig(), grace=10, low_priority=False),
        run_objects.service(ref, given, {"uid": "uid"}),
    ]
    assert "hush" not in json.dumps(objects)
    assert "TOKEN" not in json.dumps(objects)


def test_containers_have_no_rights_that_they_do_not_need(ref):
    spec = pod(ref)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    [node] = [container for container in spec["containers"] if container["name"] == labels.NODE]
    assert {mount["mountPath"]: mount.get("readOnly", False) for mount in node["volumeMounts"]} == {
        "/trainstack/inputs": True,
        "/trainstack/inputs/code": False,
        "/trainstack/writable": False,
        "/trainstack/variables": False,
        "/tmp": False,
        "/dev/shm": False,
    }


def test_a_size_is_what_node_and_courier_ask_for_together(ref):
    node, sidecar = (container["resources"] for container in pod(ref)["containers"])
    assert (node["requests"], sidecar["requests"]) == (
        {"cpu": "1990m", "memory": "4064Mi"},
        {"cpu": "10m", "memory": "32Mi"},
    )
    assert node["limits"] == {"cpu": "2", "memory": "4096Mi"}


def test_gpus_are_asked_for_and_their_taint_is_put_up_with(ref):
    spec = pod(ref, holds=Capacity(cpus=6, memory_gib=56, gpus=2))
    resources = spec["containers"][0]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "2"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert "tolerations" not in pod(ref)


def test_gpus_of_a_model_are_those_of_nodes_that_say_so(ref):
    spec = pod(ref, holds=Capacity(cpus=6, memory_gib=56, gpus=1, gpu="nvidia-t4"), low_priority=True)
    affinity = spec["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    values = {term["matchExpressions"][0]["key"]: term["matchExpressions"][0]["values"] for term in terms}
    assert values == {
        "cloud.google.com/gke-accelerator": ["nvidia-t4", "nvidia-tesla-t4"],
        "nvidia.com/gpu.product": ["Tesla-T4"],
        "karpenter.k8s.aws/instance-gpu-name": ["t4"],
        "karpenter.azure.com/sku-gpu-name": ["T4"],
    }
    assert len(affinity["preferredDuringSchedulingIgnoredDuringExecution"]) == 4


def test_gpus_of_amd_are_resources_of_its_own(ref):
    spec = pod(ref, holds=Capacity(cpus=6, memory_gib=56, gpus=2, gpu_vendor="amd"))
    assert spec["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "2"
    assert {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]


def test_what_a_machine_keeps_is_not_asked_for_but_may_be_used(ref):
    node = pod(ref, holds=Capacity(cpus=4, memory_gib=12, reserved_cpus=0.39))["containers"][0]["resources"]
    assert (node["requests"]["cpu"], node["limits"]["cpu"]) == ("3600m", "4")


def test_low_priority_tolerates_and_prefers_spot_pools(ref):
    spec = pod(ref, low_priority=True)
    assert {each["key"] for each in spec["tolerations"]} == {
        "cloud.google.com/gke-spot",
        "kubernetes.azure.com/scalesetpriority",
        "eks.amazonaws.com/capacityType",
        "karpenter.sh/capacity-type",
    }
    assert len(spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]) == 4


def test_the_store_claim_is_for_sidecars_not_for_scripts(ref):
    spec = pod(ref, KubernetesConfig(store="shared"))
    node, sidecar = spec["containers"]
    assert "shared" not in json.dumps(node)
    assert {"name": "store", "mountPath": "/trainstack/store"} in sidecar["volumeMounts"]
    assert sidecar["args"][-1] == f"/trainstack/store/runs/89abcdef/{ref.id}/1-$(JOB_COMPLETION_INDEX).tar"
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "shared"}} in spec["volumes"]
    assert "store" not in json.dumps(pod(ref)["volumes"])


def test_reader_pods_are_no_nodes(ref):
    cluster = KubernetesConfig(store="shared", node_selector={"pool": "training"})
    made = reader_pod.job(ref, group().runtime, cluster)
    assert labels.ROLE in made["metadata"]["labels"]
    assert labels.of_nodes(ref).endswith(f",!{labels.ROLE}")
    spec = made["spec"]["template"]["spec"]
    assert (spec["nodeSelector"], spec["securityContext"]) == ({"pool": "training"}, run_objects.POD_RIGHTS)


@needs_cluster
def test_an_api_server_takes_jobs_and_reader_pods_with_a_store(ref):
    cluster = KubernetesConfig(store="shared", tolerations=(Toleration(key="dedicated"),))
    taken(run_objects.job(ref, group(), cluster, grace=10, low_priority=True))
    taken(reader_pod.job(ref, group().runtime, cluster))


def test_what_the_compute_says_of_the_cluster_is_in_the_job(ref):
    cluster = KubernetesConfig(
        service_account="trainer",
        queue="team-a",
        node_selector={"pool": "training"},
        tolerations=(Toleration(key="dedicated", operator="Equal", value="ml", effect="NoSchedule"),),
    )
    job = run_objects.job(ref, group(), cluster, grace=10, low_priority=False)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    spec = job["spec"]["template"]["spec"]
    assert (spec["serviceAccountName"], spec["nodeSelector"]) == ("trainer", {"pool": "training"})
    assert spec["tolerations"] == [{"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}]


def test_a_pod_that_is_taken_away_has_time_to_save_and_to_send(ref):
    assert pod(ref)["terminationGracePeriodSeconds"] == 70


def test_any_name_makes_a_label(ref):
    marks = run_objects.attempt_labels(ref, group(name="a run, with: signs/" + "x" * 80, stack="größe"))
    assert all(len(value) <= 63 for value in marks.values())
    assert marks[labels.STACK].isascii()


def test_a_name_that_kubernetes_would_refuse_is_refused_before():
    with pytest.raises(InvalidInputError, match="namespace 'My Team' is no name for Kubernetes"):
        KubernetesConfig(namespace="My Team")


def test_only_nodes_of_a_run_reach_each_other(ref):
    policy = network_policy(ref, group(), {"uid": "uid"})
    nodes = {"matchLabels": {labels.WORKSPACE: ref.workspace, labels.RUN: ref.id}}
    assert policy["spec"] == {
        "podSelector": nodes,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": nodes}]}],
    }
    template = run_objects.job(ref, group(), KubernetesConfig(), grace=10, low_priority=False)["spec"]["template"]
    assert nodes["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert policy["metadata"]["ownerReferences"] == [{"uid": "uid"}]
