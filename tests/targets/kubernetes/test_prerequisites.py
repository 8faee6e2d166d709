"""What a real cluster must serve, and have free, for a service to be declared on it."""

import contextlib
from typing import Any

import pytest
from tests.core.kubernetes_runs import CLUSTER, access, needs_cluster

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.checks.prerequisites import check, check_host, check_node_port
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects.service_objects import objects
from trainstack.targets.kubernetes.objects.serving_spec import ServingSpec

pytestmark = needs_cluster
CONTAINER = {"image": "i", "command": ["c"], "health": ["h"], "digest": "d", "cpu": "1", "memory": "1Gi"}


def ingress(stack: str, host: str) -> dict[str, Any]:
    """The Ingress of service `taken` as a stack declares it."""
    spec = ServingSpec(expose="ingress", host=host)
    return objects(f"taken-tests-{stack}", "taken", stack, CLUSTER, spec, CONTAINER)["Ingress"]


@contextlib.contextmanager
def made(thing: dict[str, Any]):
    from kubernetes import client

    networking: Any = client.NetworkingV1Api(access().client())
    name = thing["metadata"]["name"]
    with contextlib.suppress(client.ApiException):
        networking.delete_namespaced_ingress(name, CLUSTER.namespace)
    networking.create_namespaced_ingress(CLUSTER.namespace, thing)
    try:
        yield
    finally:
        networking.delete_namespaced_ingress(name, CLUSTER.namespace)


def refused(ask, *arguments: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        ask(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_node_port_of_another_service_is_refused():
    body = {"metadata": {"generateName": "trainstack-tests-"}, "spec": {"type": "NodePort", "ports": [{"port": 1}]}}
    service = access().core.create_namespaced_service(CLUSTER.namespace, body)
    port = service.spec.ports[0].node_port
    try:
        said = refused(check_node_port, access(), "mine", port, 10)
        assert said == f"kubernetes: node_port: Invalid value: {port}: provided port is already allocated"
        nowhere = KubernetesApi(KubernetesConfig(namespace="trainstack-tests-not-there"))
        assert "already allocated" in refused(check_node_port, nowhere, "mine", port, 10)
        check_node_port(access(), service.metadata.name, port, 10)
    finally:
        access().core.delete_namespaced_service(service.metadata.name, CLUSTER.namespace)
    check_node_port(access(), "mine", port, 10)


def test_a_host_of_another_stack_s_ingress_is_refused():
    def asked(**how: Any):
        return access(), "mine", "mine-tests-prod", ServingSpec(expose="ingress", **how), 10

    with made(ingress("other", "taken.example.com")):
        said = refused(check_host, *asked(host="taken.example.com"))
        assert "Ingress taken-tests-other in namespace trainstack-tests answers to taken.example.com already" in said
        check_host(*asked(host="free.example.com"))
    with made(ingress("prod", "taken.example.com")):
        # What the same stack has there may go with this very change; two of one program are seen without the cluster.
        check_host(*asked(host="taken.example.com"))


def test_scaling_by_concurrency_needs_custom_metrics():
    check(access(), "mine", "mine-tests-prod", ServingSpec(max_replicas=2, target_cpu=50), 10)
    spec = ServingSpec(max_replicas=2, target_concurrency=4)
    try:
        check(access(), "mine", "mine-tests-prod", spec, 10)
    except InvalidInputError as exc:
        said = str(exc)
    else:
        pytest.skip("the cluster serves custom metrics, perhaps another test's")
    assert "serves no custom.metrics.k8s.io, which target_concurrency needs: install an adapter" in said
    assert "\n" not in said
