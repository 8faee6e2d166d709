"""Find and remove what bears certain labels in a namespace."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.api import mpijobs
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.manifest import Manifest, part, parts

_PATIENCE_SECONDS = 30.0
_FORCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class RunObject:
    """An object on the cluster: its kind and name as people know it, and its labels."""

    kind: str
    name: str
    labels: dict[str, str]


def jobs(api: KubernetesApi, selector: str) -> list[Manifest]:
    """The jobs that bear `selector`, as the API server has them.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    with api.errors("looking for jobs"):
        return _listed(api, api.batch.list_namespaced_job, selector)


def list_objects(api: KubernetesApi, selector: str) -> list[RunObject]:
    """All that bears `selector`.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    with api.errors("looking for what runs have left"):
        return list(_iter_objects(api, selector))


def remove(api: KubernetesApi, selector: str) -> int:
    """Remove all that bears `selector`; pods that still run are killed.

    Returns:
        How many pods there were.

    Raises:
        TrainstackError: The cluster does not answer, or does not let go of something.
    """
    objects = list_objects(api, selector)
    if not objects:
        return 0
    pods = sum(item.kind == "pod" for item in objects)
    with api.errors("removing what runs have left"):
        began, grace = time.monotonic(), 1
        selection: Manifest = {"label_selector": selector, "_request_timeout": ANSWER_SECONDS}
        # Before what has made them: a pod that has begun to end with all of its grace period does not end sooner.
        api.core.delete_collection_namespaced_pod(api.namespace, grace_period_seconds=grace, **selection)
        if api.config.engine == "mpijob":
            mpijobs.delete(api, selector)
        api.batch.delete_collection_namespaced_job(api.namespace, propagation_policy="Background", **selection)
        for item in objects:
            if item.kind == "service":
                _delete_service(api, item.name)
        while _any_left(api, selector):
            waited = time.monotonic() - began
            if waited > _PATIENCE_SECONDS:
                raise TrainstackError(f"kubernetes: namespace {api.namespace} does not let go of {selector}")
            if waited > _FORCE_SECONDS and grace:
                # A machine that has gone never says that its pod has ended.
                grace = 0
                api.core.delete_collection_namespaced_pod(api.namespace, grace_period_seconds=0, **selection)
            time.sleep(_PAUSE_SECONDS)
    return pods


def _any_left(api: KubernetesApi, selector: str) -> bool:
    return next(_iter_objects(api, selector), None) is not None


def _iter_objects(api: KubernetesApi, selector: str) -> Iterator[RunObject]:
    for kind, call in (
        ("pod", api.core.list_namespaced_pod),
        ("job", api.batch.list_namespaced_job),
        ("service", api.core.list_namespaced_service),
    ):
        for item in _listed(api, call, selector):
            metadata = part(item, "metadata")
            yield RunObject(kind, metadata["name"], part(metadata, "labels"))
    for item in mpijobs.listed(api, selector) if api.config.engine == "mpijob" else ():
        metadata = part(item, "metadata")
        yield RunObject("mpijob", metadata["name"], part(metadata, "labels"))


def _listed(api: KubernetesApi, call: Any, selector: str) -> list[Manifest]:
    answer = call(api.namespace, label_selector=selector, _preload_content=False, _request_timeout=ANSWER_SECONDS)
    return parts(json.loads(answer.data), "items")


def _delete_service(api: KubernetesApi, name: str) -> None:
    from kubernetes.client.exceptions import ApiException

    try:
        api.core.delete_namespaced_service(name, api.namespace, _request_timeout=ANSWER_SECONDS)
    except ApiException as exc:
        refused: Any = exc
        if refused.status != 404:
            raise
