"""A web service on a real cluster while requests come without a break: nobody may notice what is done to it."""

import json
import os
import shutil
import subprocess
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.core.kubernetes_runs import needs_cluster, needs_kubectl
from tests.end_to_end.custom_metrics import CustomMetrics
from tests.end_to_end.project import new_project
from tests.kubectl_objects import stand_in
from tests.load import Load
from tests.server.served import free_port
from tests.waiting import until

from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.port_forward import forwarding
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects.service_objects import PORT

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.tensorflow,
    pytest.mark.timeout(900),
    needs_cluster,
    needs_kubectl,
]
NAMESPACE = "trainstack-tests-rollout"
THERE = KubernetesApi(KubernetesConfig(namespace=NAMESPACE))
PROGRAM = """
import pulumi
import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace("rolled", ts.WorkspaceArgs(registry=config.require("registry")))
cluster = ts.Compute("cluster", ts.ComputeArgs(
    workspace=workspace, target="kubernetes", vm_size="STANDARD_D1_V2",
    kubernetes=ts.KubernetesArgs(namespace=config.require("namespace")),
))
model = ts.Model("dense", ts.ModelArgs(
    workspace=workspace, path=config.require("model"), framework_version="2.15.1",
    resource_configuration=ts.ResourceConfiguration(cpu=0.2, memory_in_gb=1),
))
service = ts.WebService("rolled", ts.WebServiceArgs(
    model=model, compute=cluster, runtime="tensorflow",
    kubernetes=ts.KubernetesServiceArgs(
        min_replicas=2, max_replicas=config.get_int("most") or 2, target_concurrency=config.get_int("concurrency"),
        expose="node-port",
    ),
))
pulumi.export("scoring_uri", service.scoring_uri)
pulumi.export("digest", model.digest)
"""
INSTANCES = {"instances": [[1.0, 2.0, 3.0, 4.0]]}


def kubectl(*words):
    return subprocess.run(["kubectl", "-n", NAMESPACE, *words], capture_output=True, text=True, check=True).stdout


def pods(*, ending=False):
    """The names of the service's pods, without or with those that are about to end."""
    time.sleep(0.3)
    found = THERE.core.list_namespaced_pod(NAMESPACE, label_selector="trainstack.service=rolled").items
    return sorted(it.metadata.name for it in found if ending or not it.metadata.deletion_timestamp)


def deployment():
    from kubernetes import client

    time.sleep(0.3)
    apps: Any = client.AppsV1Api(THERE.client())
    return apps.list_namespaced_deployment(NAMESPACE).items[0]


def evicted(pod):
    """Whether the API server let a pod be evicted, as `kubectl drain` asks it to; the budget may forbid it."""
    from kubernetes.client.exceptions import ApiException

    time.sleep(0.3)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    try:
        THERE.core.create_namespaced_pod_eviction(pod, NAMESPACE, body)
    except ApiException as exc:
        refused: Any = exc
        assert refused.status == 429, refused
        return False
    return True


@pytest.fixture(scope="module")
def models(dense, tmp_path_factory):
    """Two models that differ."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("first", "second"):
        shutil.copytree(dense, folder / name)
    (folder / "second" / "assets").mkdir(exist_ok=True)
    (folder / "second" / "assets" / "note").write_text("the second")
    return folder


@pytest.fixture(scope="module")
def rolled(models, tmp_path_factory):
    made = new_project(tmp_path_factory.mktemp("rolled") / "project")
    made.write("__main__.py", PROGRAM)
    made.variables |= stand_in.VARIABLES
    for name, value in {
        "registry": os.environ["TRAINSTACK_REGISTRY"], "namespace": NAMESPACE, "model": models / "first",
    }.items():  # fmt: skip
        made.pulumi("config", "set", name, str(value))
    CustomMetrics.sweep()
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")
    made.up()
    yield made
    made.pulumi("destroy", "--yes", "--skip-preview", expect=None)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


def test_no_request_fails_in_rollouts_deletions_and_a_drain(rolled, models):
    outputs = rolled.outputs()
    first, address = outputs["digest"], outputs["scoring_uri"]
    port, told = free_port(), []
    forwarded = Load(f"http://127.0.0.1:{port}{urlsplit(address).path}", INSTANCES, kept=2, fresh=1, pause=1)
    with (
        forwarding(THERE, deployment().metadata.name, PORT, port, told.append),
        forwarded,
        Load(address, INSTANCES) as load,
    ):
        load.more(20)
        assert load.digests() == {first}

        rolled.pulumi("config", "set", "model", str(models / "second"))
        rolled.up()
        second, began = rolled.outputs()["digest"], time.monotonic()
        load.more(60)
        assert second != first
        assert load.digests() == {first, second}
        assert load.digests(since=began) == {second}

        rolled.pulumi("config", "set", "model", str(models / "first"))
        rolled.up()
        began = time.monotonic()
        load.more(60)
        assert load.digests(since=began) == {first}

        # A node is drained that has the other: that goes only when the deleted one has been made up for.
        before = pods()
        kubectl("delete", "pod", before[0], "--wait=false")
        until(lambda: before[0] not in pods())
        assert not evicted(before[1])
        until(lambda: evicted(before[1]), 300)
        until(lambda: not set(before) & set(pods(ending=True)), 300)
        load.more(60)
        forwarded.more(5)
    assert (load.failures, forwarded.failures) == ([], [])
    assert load.digests() == forwarded.digests() == {first, second}


def test_pods_are_scaled_up_and_down_by_requests_in_flight(rolled):
    if CustomMetrics.served():
        pytest.skip("the cluster has custom metrics of its own")
    rolled.pulumi("config", "set", "most", "3")
    rolled.pulumi("config", "set", "concurrency", "4")
    refused = rolled.preview(expect=None)
    [said] = refused.lines("serves no custom.metrics.k8s.io")
    assert "target_concurrency" in said
    with CustomMetrics(NAMESPACE):
        before = pods()
        rolled.up()
        # What was a fixed number goes over to the autoscaler as it is.
        assert pods() == before
        # Five minutes of rest before a pod goes is what a cluster does by itself.
        patch = {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}
        scaler = kubectl("get", "hpa", "-o", "name").strip()
        kubectl("patch", scaler, "--type=merge", "-p", json.dumps(patch))
        with Load(rolled.outputs()["scoring_uri"], INSTANCES, kept=1, fresh=1, slow=12) as load:
            until(lambda: len(pods()) == 3, 300)
        until(lambda: len(pods()) == 2, 300)
    assert not load.failures
