"""What runs have on a real cluster, seen past Trainstack."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from trainstack.core.runs import location
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.request import RegistryLogin
from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.removal import list_objects
from trainstack.targets.kubernetes.config import KubernetesConfig

CLUSTER = KubernetesConfig(namespace="trainstack-tests", pending_deadline=240)
_ACCESS = KubernetesApi(CLUSTER)


def _missing() -> str:
    for variable, what in (
        ("KUBECONFIG", "cluster"),
        ("DOCKER_HOST", "Docker engine that makes images"),
        ("TRAINSTACK_BASE_IMAGE", "base image that the engine can have"),
        ("TRAINSTACK_REGISTRY", "registry that the cluster pulls from"),
    ):
        if not os.environ.get(variable):
            return f"{variable} names no {what}"
    try:
        _ACCESS.check()
        _ACCESS.ensure_namespace()
    except TrainstackError as exc:
        return str(exc)
    return ""


_REASON = _missing()
needs_cluster = pytest.mark.skipif(bool(_REASON), reason=_REASON or "-")
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not there")


def registry() -> RegistryLogin:
    return RegistryLogin(address=os.environ["TRAINSTACK_REGISTRY"])


def access() -> KubernetesApi:
    return _ACCESS


def reachable_endpoint() -> str:
    """The S3 server's address as pods know it: where it is this machine, the node's own. Empty where there is none."""
    named = os.environ.get("AWS_ENDPOINT_URL", "")
    if "127.0.0.1" not in named:
        return named
    [address, *_] = _ACCESS.core.list_node().items[0].status.addresses
    return named.replace("127.0.0.1", address.address)


def _selector(run: RunDirectory) -> str:
    ref = location.ref_of(run)
    return f"trainstack.workspace={ref.workspace},trainstack.run={ref.id}"


def pods(run: RunDirectory) -> list[dict[str, Any]]:
    answer = _ACCESS.core.list_namespaced_pod(CLUSTER.namespace, label_selector=_selector(run), _preload_content=False)
    return json.loads(answer.data)["items"]


def jobs(run: RunDirectory) -> list[dict[str, Any]]:
    answer = _ACCESS.batch.list_namespaced_job(CLUSTER.namespace, label_selector=_selector(run), _preload_content=False)
    return json.loads(answer.data)["items"]


def policies(run: RunDirectory) -> list[str]:
    """The network policies that the cluster still has of a run."""
    answer = _ACCESS.networking.list_namespaced_network_policy(CLUSTER.namespace, label_selector=_selector(run))
    return [item.metadata.name for item in answer.items]


def left(run: RunDirectory, namespace: str = CLUSTER.namespace, engine: Literal["job", "mpijob"] = "job") -> list[str]:
    """Pods, jobs and services that the cluster still has of a run."""
    there = KubernetesApi(KubernetesConfig(namespace=namespace, engine=engine))
    return [f"{thing.kind} {thing.name}" for thing in list_objects(there, _selector(run))]


def delete_pod(run: RunDirectory, index: int, *, grace: int | None = None) -> None:
    [pod] = [
        pod for pod in pods(run) if pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == str(index)
    ]
    how = {} if grace is None else {"grace_period_seconds": grace}
    _ACCESS.core.delete_namespaced_pod(pod["metadata"]["name"], CLUSTER.namespace, **how)


@contextlib.contextmanager
def nodes_labelled(key: str) -> Iterator[Callable[[], None]]:
    """Gives what labels the cluster's nodes; afterwards they are as before."""
    core = _ACCESS.core

    def label(value: str | None) -> None:
        for node in core.list_node().items:
            core.patch_node(node.metadata.name, {"metadata": {"labels": {key: value}}})

    try:
        yield lambda: label("yes")
    finally:
        label(None)


def taken(thing: dict[str, Any], namespace: str = CLUSTER.namespace) -> None:
    """Have the real API server check an object strictly, without keeping it: a field that it does not know fails."""
    from kubernetes import dynamic

    server = dynamic.DynamicClient(_ACCESS.client())
    kind = server.resources.get(api_version=thing["apiVersion"], kind=thing["kind"])
    made = server.server_side_apply(
        kind,
        body=json.loads(json.dumps(thing)),
        name=thing["metadata"]["name"],
        field_manager="trainstack-tests",
        dry_run="All",
        field_validation="Strict",
        **({"namespace": namespace} if kind.namespaced else {}),
    )
    assert made.metadata.name == thing["metadata"]["name"]


def store_secret() -> dict[str, Any]:
    """A Secret `store` with what opens this process's object store, for pods."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    settings["AWS_ENDPOINT_URL"] = reachable_endpoint()
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "stringData": settings}
