"""How a declared service does on its cluster: whether its pods are those asked for, and what they wait for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.api.client import ANSWER_SECONDS, Access
from trainstack.targets.kubernetes.api.json_objects import part, parts
from trainstack.targets.kubernetes.checks.prerequisites import KSERVE
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.objects.service_objects import MODEL
from trainstack.targets.kubernetes.pods import ended_container, waits_for

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


def deployment(access: Access, name: str, mark: str = MODEL) -> Served | None:
    """Ask for a service's Deployment; none when there is none.

    Args:
        access: The cluster.
        name: The Deployment.
        mark: The annotation that says what its pods are to be.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    from kubernetes import client

    apps: Any = client.AppsV1Api(access.client())
    found = access.asked(_ASKING, lambda: apps.read_namespaced_deployment(name, access.namespace, **_PLAIN))
    if found is None:
        return None
    status, wanted = part(found, "status"), int(found["spec"].get("replicas") or 0)
    seen = int(status.get("observedGeneration") or 0) >= int(found["metadata"]["generation"])
    updated, all_, ready = (int(status.get(it) or 0) for it in ("updatedReplicas", "replicas", "availableReplicas"))
    digest = str(part(found, "spec", "template", "metadata", "annotations").get(mark, ""))
    return Served(digest, ready > 0, seen and updated == all_ == ready and ready >= wanted)


def inference_service(access: Access, name: str) -> Served | None:
    """Ask for a service's InferenceService; none when there is none.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    from kubernetes import client

    custom: Any = client.CustomObjectsApi(access.client())
    group, version, plural = KSERVE
    found = access.asked(
        _ASKING,
        lambda: custom.get_namespaced_custom_object(
            group, version, access.namespace, plural, name, _request_timeout=ANSWER_SECONDS
        ),
    )
    if found is None:
        return None
    ready = any(it["type"] == "Ready" and it["status"] == "True" for it in parts(found, "status", "conditions"))
    digest = str(part(found, "spec", "predictor", "annotations").get(MODEL, ""))
    return Served(digest, ready, ready, str(part(found, "status").get("url") or ""))


def service(access: Access, name: str) -> dict[str, Any]:
    """A service's Service.

    Raises:
        TrainstackError: There is none, or the cluster does not answer.
    """
    found = access.asked(_ASKING, lambda: access.core.read_namespaced_service(name, access.namespace, **_PLAIN))
    if found is None:
        raise TrainstackError(f"the cluster has no Service {name} in namespace {access.namespace}")
    return found


def node_address(access: Access) -> str:
    """An address that ports of nodes are reached at: a node's outer one, else its inner one, else the API server's."""
    try:
        with access.errors("looking for nodes"):
            nodes: dict[str, Any] = json.loads(access.core.list_node(**_PLAIN).data)
    except TrainstackError:
        nodes = dict[str, Any]()
    for kind in ("ExternalIP", "InternalIP"):
        for node in parts(nodes, "items"):
            for address in parts(node, "status", "addresses"):
                if address["type"] == kind:
                    return str(address["address"])
    return urlsplit(str(access.configuration.host)).hostname or "127.0.0.1"


def await_deployment(
    access: Access,
    name: str,
    digest: str,
    seconds: float,
    progress: Callable[[str], None],
    *,
    mark: str = MODEL,
    what: str = "serve the model",
) -> None:
    """Wait until all pods of a Deployment are those asked for, and none that was another answers any more.

    Args:
        access: The cluster.
        name: The Deployment.
        digest: What its pods are to be: the model's digest.
        seconds: How long.
        progress: Told what is waited for.
        mark: The annotation that says so.
        what: What they are to come to, for the error.

    Raises:
        TrainstackError: They do not come to it; says why in the cluster's own words.
    """
    began = time.monotonic()
    ended_before: str | None = None
    while True:
        found = deployment(access, name, mark)
        if found is not None and found.digest == digest and found.complete:
            _await_end_of_others(access, name, digest, mark, progress)
            return
        reason, hopeless = "its Deployment is being made", False
        if found is not None:
            reason, hopeless, ended = _why(access, name, digest, mark)
            # How it ended before anybody waited may have been cured: the next start tells.
            ended_before = ended if ended_before is None else ended_before
            hopeless = hopeless and (not ended or ended != ended_before)
        waited = time.monotonic() - began
        if hopeless or waited > seconds:
            kept = "; the pods that served before go on" if found and found.available else ""
            raise TrainstackError(f"its pods did not come to {what} within {waited:.0f} s: {reason}{kept}")
        progress(f"waiting for its pods: {reason}")
        time.sleep(_TICK)


def await_inference_service(access: Access, name: str, seconds: float, progress: Callable[[str], None]) -> str:
    """Wait until an InferenceService is ready; gives its address.

    Raises:
        TrainstackError: It does not become so.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        found = inference_service(access, name)
        if found is not None and found.complete and found.url:
            return found.url.rstrip("/")
        progress(f"waiting for InferenceService {name}, {waited:.0f} s")
        time.sleep(_TICK)
    raise TrainstackError(f"InferenceService {name} is not ready after {seconds:g} s: `kubectl describe` tells why")


_PLAIN: dict[str, Any] = {"_preload_content": False, "_request_timeout": ANSWER_SECONDS}


def _why(access: Access, name: str, digest: str, mark: str) -> tuple[str, bool, str]:
    """What the pods that are asked for wait for, whether waiting cannot help, and which container ended last."""
    for pod in parts(_pods(access, name), "items"):
        if part(pod, "metadata", "annotations").get(mark) == digest and not _ready(pod):
            return *waits_for(pod, ("server",)), ended_container(pod, "server")
    return _refused(access, name) or "the old ones end", False, ""


def _await_end_of_others(access: Access, name: str, digest: str, mark: str, progress: Callable[[str], None]) -> None:
    """Wait until the pods have gone that were others, as long as they may take: those of a lost node stay."""
    began = time.monotonic()
    while others := [
        pod
        for pod in parts(_pods(access, name), "items")
        if part(pod, "metadata", "annotations").get(mark) != digest
        and part(pod, "status").get("phase") not in ("Succeeded", "Failed")
    ]:
        grace = max(int(pod["spec"].get("terminationGracePeriodSeconds") or 0) for pod in others)
        if time.monotonic() - began > grace + _KILL_SECONDS:
            return
        progress("waiting for the pods of before: they finish what they have begun")
        time.sleep(_TICK)


def _pods(access: Access, name: str) -> dict[str, Any] | None:
    return access.asked(
        _ASKING,
        lambda: access.core.list_namespaced_pod(access.namespace, label_selector=f"{INSTANCE}={name}", **_PLAIN),
    )


def _ready(pod: dict[str, Any]) -> bool:
    return any(it["type"] == "Ready" and it["status"] == "True" for it in parts(pod, "status", "conditions"))


def _refused(access: Access, name: str) -> str:
    """Why the cluster makes no pods: a quota, say."""
    from kubernetes import client

    apps: Any = client.AppsV1Api(access.client())
    found = access.asked(_ASKING, lambda: apps.read_namespaced_deployment(name, access.namespace, **_PLAIN))
    for condition in parts(found, "status", "conditions"):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return " ".join(str(condition.get("message") or "").split())[:400]
    return ""
