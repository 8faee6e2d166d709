"""How a declared service does on its cluster: whether its pods are those asked for, and what they wait for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.checks.prerequisites import KSERVE
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.manifest import Manifest, part, parts
from trainstack.targets.kubernetes.objects.service_objects import MODEL
from trainstack.targets.kubernetes.pods import ended_container, pending_reason

_ASKING = "asking for a service"
_TICK = 1.0
# What a kubelet may take to kill what its grace period did not end.
_KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Served:
    """What a service's object says.

    Attributes:
        digest: What its pods are to be, by their annotation: the digest of the model that they are to serve.
        available: Whether a pod answers.
        complete: Whether every pod is that and no older one is left.
        url: Its own address, where it gives one.
    """

    digest: str
    available: bool
    complete: bool
    url: str = ""


def deployment(api: KubernetesApi, name: str, annotation: str = MODEL) -> Served | None:
    """Ask for a service's Deployment; none when there is none.

    Args:
        api: The cluster.
        name: The Deployment.
        annotation: The annotation that says what its pods are to be.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    from kubernetes import client

    apps: Any = client.AppsV1Api(api.client())
    deployment_object = api.request(_ASKING, lambda: apps.read_namespaced_deployment(name, api.namespace, **_PLAIN))
    if deployment_object is None:
        return None
    status, replicas = part(deployment_object, "status"), int(deployment_object["spec"].get("replicas") or 0)
    observed = int(status.get("observedGeneration") or 0) >= int(deployment_object["metadata"]["generation"])
    updated, all_, ready = (
        int(status.get(count) or 0) for count in ("updatedReplicas", "replicas", "availableReplicas")
    )
    digest = str(part(deployment_object, "spec", "template", "metadata", "annotations").get(annotation, ""))
    return Served(digest, ready > 0, observed and updated == all_ == ready and ready >= replicas)


def inference_service(api: KubernetesApi, name: str) -> Served | None:
    """Ask for a service's InferenceService; none when there is none.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    from kubernetes import client

    custom: Any = client.CustomObjectsApi(api.client())
    group, version, plural = KSERVE
    inference_object = api.request(
        _ASKING,
        lambda: custom.get_namespaced_custom_object(
            group, version, api.namespace, plural, name, _request_timeout=ANSWER_SECONDS
        ),
    )
    if inference_object is None:
        return None
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in parts(inference_object, "status", "conditions")
    )
    digest = str(part(inference_object, "spec", "predictor", "annotations").get(MODEL, ""))
    return Served(digest, ready, ready, str(part(inference_object, "status").get("url") or ""))


def service(api: KubernetesApi, name: str) -> Manifest:
    """A service's Service.

    Raises:
        TrainstackError: There is none, or the cluster does not answer.
    """
    service_object = api.request(_ASKING, lambda: api.core.read_namespaced_service(name, api.namespace, **_PLAIN))
    if service_object is None:
        raise TrainstackError(f"the cluster has no Service {name} in namespace {api.namespace}")
    return service_object


def node_address(api: KubernetesApi) -> str:
    """An address that ports of nodes are reached at: a node's outer one, else its inner one, else the API server's."""
    try:
        with api.errors("looking for nodes"):
            nodes: Manifest = json.loads(api.core.list_node(**_PLAIN).data)
    except TrainstackError:
        nodes = Manifest()
    for kind in ("ExternalIP", "InternalIP"):
        for node in parts(nodes, "items"):
            for address in parts(node, "status", "addresses"):
                if address["type"] == kind:
                    return str(address["address"])
    return urlsplit(str(api.client_configuration.host)).hostname or "127.0.0.1"


def await_deployment(
    api: KubernetesApi,
    name: str,
    digest: str,
    seconds: float,
    progress: Callable[[str], None],
    *,
    annotation: str = MODEL,
    goal: str = "serve the model",
) -> None:
    """Wait until all pods of a Deployment are those asked for, and none that was another answers any more.

    Args:
        api: The cluster.
        name: The Deployment.
        digest: What its pods are to be: the model's digest.
        seconds: How long.
        progress: Told what is waited for.
        annotation: The annotation that says so.
        goal: What they are to come to, for the error.

    Raises:
        TrainstackError: They do not come to it; says why in the cluster's own words.
    """
    began = time.monotonic()
    ended_before: str | None = None
    while True:
        served = deployment(api, name, annotation)
        if served is not None and served.digest == digest and served.complete:
            _await_end_of_others(api, name, digest, annotation, progress)
            return
        reason, hopeless = "its Deployment is being made", False
        if served is not None:
            reason, hopeless, ended = _why(api, name, digest, annotation)
            # How it ended before anybody waited may have been cured: the next start tells.
            ended_before = ended if ended_before is None else ended_before
            hopeless = hopeless and (not ended or ended != ended_before)
        waited = time.monotonic() - began
        if hopeless or waited > seconds:
            still_served = "; the pods that served before go on" if served and served.available else ""
            raise TrainstackError(f"its pods did not come to {goal} within {waited:.0f} s: {reason}{still_served}")
        progress(f"waiting for its pods: {reason}")
        time.sleep(_TICK)


def await_inference_service(api: KubernetesApi, name: str, seconds: float, progress: Callable[[str], None]) -> str:
    """Wait until an InferenceService is ready; gives its address.

    Raises:
        TrainstackError: It does not become so.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        served = inference_service(api, name)
        if served is not None and served.complete and served.url:
            return served.url.rstrip("/")
        progress(f"waiting for InferenceService {name}, {waited:.0f} s")
        time.sleep(_TICK)
    raise TrainstackError(f"InferenceService {name} is not ready after {seconds:g} s: `kubectl describe` tells why")


_PLAIN: Manifest = {"_preload_content": False, "_request_timeout": ANSWER_SECONDS}


def _why(api: KubernetesApi, name: str, digest: str, annotation: str) -> tuple[str, bool, str]:
    """What the pods that are asked for wait for, whether waiting cannot help, and which container ended last."""
    for pod in parts(_pods(api, name), "items"):
        if part(pod, "metadata", "annotations").get(annotation) == digest and not _ready(pod):
            return *pending_reason(pod, ("server",)), ended_container(pod, "server")
    return _refused(api, name) or "the old ones end", False, ""


def _await_end_of_others(
    api: KubernetesApi, name: str, digest: str, annotation: str, progress: Callable[[str], None]
) -> None:
    """Wait until the pods have gone that were others, as long as they may take: those of a lost node stay."""
    began = time.monotonic()
    while others := [
        pod
        for pod in parts(_pods(api, name), "items")
        if part(pod, "metadata", "annotations").get(annotation) != digest
        and part(pod, "status").get("phase") not in ("Succeeded", "Failed")
    ]:
        grace = max(int(pod["spec"].get("terminationGracePeriodSeconds") or 0) for pod in others)
        if time.monotonic() - began > grace + _KILL_SECONDS:
            return
        progress("waiting for the pods of before: they finish what they have begun")
        time.sleep(_TICK)


def _pods(api: KubernetesApi, name: str) -> Manifest | None:
    return api.request(
        _ASKING,
        lambda: api.core.list_namespaced_pod(api.namespace, label_selector=f"{INSTANCE}={name}", **_PLAIN),
    )


def _ready(pod: Manifest) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in parts(pod, "status", "conditions")
    )


def _refused(api: KubernetesApi, name: str) -> str:
    """Why the cluster makes no pods: a quota, say."""
    from kubernetes import client

    apps: Any = client.AppsV1Api(api.client())
    deployment_object = api.request(_ASKING, lambda: apps.read_namespaced_deployment(name, api.namespace, **_PLAIN))
    for condition in parts(deployment_object, "status", "conditions"):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return " ".join(str(condition.get("message") or "").split())[:400]
    return ""
