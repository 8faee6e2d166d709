"""The namespace of declared objects: whether it is there, who made it, and whether it may go."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from trainstack.abbreviation import abbreviated
from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.manifest import Manifest, part, parts

OWNER = "trainstack.owner"
"""Annotation of a namespace that a component has made: project, stack and component."""
_LISTED = (
    ("Pod", "CoreV1Api", "pod"),
    ("Service", "CoreV1Api", "service"),
    ("PersistentVolumeClaim", "CoreV1Api", "persistent_volume_claim"),
    ("Secret", "CoreV1Api", "secret"),
    ("ConfigMap", "CoreV1Api", "config_map"),
    ("ServiceAccount", "CoreV1Api", "service_account"),
    ("Deployment", "AppsV1Api", "deployment"),
    ("StatefulSet", "AppsV1Api", "stateful_set"),
    ("Job", "BatchV1Api", "job"),
    ("CronJob", "BatchV1Api", "cron_job"),
)
"""What may be lost with a namespace, and how the client lists it."""
# What a cluster puts into every namespace by itself.
_OWN = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt"), ("Service", "kubernetes")}
_ENDING_SECONDS = 30.0
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class ExistingNamespace:
    """A namespace that is there.

    Attributes:
        owner: Which component made it; empty where none did, or where it may not be asked.
    """

    owner: str = ""


def owner(project: str, stack: str, component: str) -> str:
    """What `OWNER` says of a namespace that a component makes."""
    return f"{project}/{stack}/{component}"


def look(api: KubernetesApi, seconds: float = ANSWER_SECONDS) -> ExistingNamespace | None:
    """Ask for a namespace; none when there is none.

    Args:
        api: The cluster and the namespace.
        seconds: How long to wait for an answer.

    Raises:
        TrainstackError: The cluster does not answer, or does not know us.
    """
    from kubernetes.client.exceptions import ApiException

    with api.errors(f"looking for namespace {api.namespace}"):
        try:
            answer = api.core.read_namespace(api.namespace, _preload_content=False, _request_timeout=seconds)
        except ApiException as exc:
            refused: Any = exc
            if refused.status == 404:
                return None
            # Who may only work in one namespace may often not read it: somebody made it for them.
            if refused.status == 403 and "system:anonymous" not in str(refused.body):
                return ExistingNamespace()
            raise
    return ExistingNamespace(str(part(json.loads(answer.data), "metadata", "annotations").get(OWNER, "")))


def rendered(name: str, made_by: str) -> Manifest:
    """A namespace as the API server gets it.

    Args:
        name: Its name.
        made_by: What `owner` says.
    """
    metadata = {"name": name, "labels": {labels.MANAGED: "trainstack"}, "annotations": {OWNER: made_by}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def check_empty(api: KubernetesApi) -> None:
    """Make sure that nobody loses anything when a namespace goes.

    Raises:
        TrainstackError: Something is in it; says what. Or the cluster does not answer.
    """
    began = time.monotonic()
    while remaining := occupants(api):
        # Pods end a while after what made them has gone, and whoever removes them all does so side by side.
        if time.monotonic() - began > _ENDING_SECONDS:
            objects = abbreviated([f"{kind} {name}" for kind, name in remaining])
            raise TrainstackError(
                f"kubernetes: namespace {api.namespace} stays, it still has {objects}: take them away first"
            )
        time.sleep(_PAUSE_SECONDS)


def occupants(api: KubernetesApi) -> list[tuple[str, str]]:
    """What is in a namespace: kind and name of all that nothing else in it has made, and of pods that run.

    Raises:
        TrainstackError: The cluster does not answer, or does not let us ask.
    """
    from kubernetes import client

    resources: list[tuple[str, str]] = []
    connection = api.client()
    with api.errors(f"looking what is in namespace {api.namespace}"):
        for kind, group, resource in _LISTED:
            ask: Any = getattr(getattr(client, group)(connection), f"list_namespaced_{resource}")
            answer = ask(api.namespace, _preload_content=False, _request_timeout=ANSWER_SECONDS)
            for item in parts(json.loads(answer.data), "items"):
                metadata = item["metadata"]
                owned = bool(metadata.get("ownerReferences")) and kind != "Pod"
                if not owned and not metadata.get("deletionTimestamp") and (kind, metadata["name"]) not in _OWN:
                    resources.append((kind, str(metadata["name"])))
    return resources
