"""Find and remove what bears certain labels in a namespace."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes.api.client import ANSWER_SECONDS, Access
from trainstack.targets.kubernetes.api.json_objects import part, parts
from trainstack.targets.kubernetes.objects import mpijob

_PATIENCE_SECONDS = 30.0
_FORCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Thing:
    """An object on the cluster: its kind and name as people know it, and its labels."""

    kind: str
    name: str
    labels: dict[str, str]


def jobs(access: Access, selector: str) -> list[dict[str, Any]]:
    """The jobs that bear `selector`, as the API server has them.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    with access.errors("looking for jobs"):
        return _listed(access, access.batch.list_namespaced_job, selector)


def everything(access: Access, selector: str) -> list[Thing]:
    """All that bears `selector`.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    with access.errors("looking for what runs have left"):
        return list(_things(access, selector))


def remove(access: Access, selector: str) -> int:
    """Remove all that bears `selector`; pods that still run are killed.

    Returns:
        How many pods there were.

    Raises:
        TrainstackError: The cluster does not answer, or does not let go of something.
    """
    found = everything(access, selector)
    if not found:
        return 0
    pods = sum(thing.kind == "pod" for thing in found)
    with access.errors("removing what runs have left"):
        began, grace = time.monotonic(), 1
        given: dict[str, Any] = {"label_selector": selector, "_request_timeout": ANSWER_SECONDS}
        # Before what has made them: a pod that has begun to end with all of its grace period does not end sooner.
        access.core.delete_collection_namespaced_pod(access.namespace, grace_period_seconds=grace, **given)
        if access.cluster.engine == "mpijob":
            mpijob.delete(access, selector)
        access.batch.delete_collection_namespaced_job(access.namespace, propagation_policy="Background", **given)
        for thing in found:
            if thing.kind == "service":
                _delete_service(access, thing.name)
        while _things_left(access, selector):
            waited = time.monotonic() - began
            if waited > _PATIENCE_SECONDS:
                raise TrainstackError(f"kubernetes: namespace {access.namespace} does not let go of {selector}")
            if waited > _FORCE_SECONDS and grace:
                # A machine that has gone never says that its pod has ended.
                grace = 0
                access.core.delete_collection_namespaced_pod(access.namespace, grace_period_seconds=0, **given)
            time.sleep(_PAUSE_SECONDS)
    return pods


def _things_left(access: Access, selector: str) -> bool:
    return next(_things(access, selector), None) is not None


def _things(access: Access, selector: str) -> Iterator[Thing]:
    for kind, call in (
        ("pod", access.core.list_namespaced_pod),
        ("job", access.batch.list_namespaced_job),
        ("service", access.core.list_namespaced_service),
    ):
        for item in _listed(access, call, selector):
            metadata = part(item, "metadata")
            yield Thing(kind, metadata["name"], part(metadata, "labels"))
    for item in mpijob.listed(access, selector) if access.cluster.engine == "mpijob" else ():
        metadata = part(item, "metadata")
        yield Thing("mpijob", metadata["name"], part(metadata, "labels"))


def _listed(access: Access, call: Any, selector: str) -> list[dict[str, Any]]:
    answer = call(access.namespace, label_selector=selector, _preload_content=False, _request_timeout=ANSWER_SECONDS)
    return parts(json.loads(answer.data), "items")


def _delete_service(access: Access, name: str) -> None:
    from kubernetes.client.exceptions import ApiException

    try:
        access.core.delete_namespaced_service(name, access.namespace, _request_timeout=ANSWER_SECONDS)
    except ApiException as exc:
        refused: Any = exc
        if refused.status != 404:
            raise
