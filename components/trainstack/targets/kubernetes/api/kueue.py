"""What Kueue says of a job on a cluster: its Workload, and the queue that it goes through."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.kubernetes.api.client import FORBIDDEN, NOT_FOUND, KubernetesApi
from trainstack.targets.kubernetes.manifest import Manifest, part, parts

GROUP, VERSION = "kueue.x-k8s.io", "v1beta2"
"""Of Kueue's kinds: served from Kueue 0.15 on."""
JOB_UID = f"{GROUP}/job-uid"
"""Label of a Workload: the uid of its job."""


def list_workloads(api: KubernetesApi) -> Callable[..., Any]:
    """The client's function that lists Workloads in a namespace, for a watch."""

    def call(namespace: str, **selectors: Any) -> Any:
        return api.custom.list_namespaced_custom_object(GROUP, VERSION, namespace, "workloads", **selectors)

    return call


def pending_words(workload: Manifest) -> str:
    """Why Kueue has not admitted a job, in its own words; empty where it has, or says nothing."""
    conditions = {each["type"]: each for each in parts(workload, "status", "conditions")}
    if part(conditions, "Admitted").get("status") == "True":
        return ""
    reserved = part(conditions, "QuotaReserved")
    message = " ".join(str(reserved.get("message") or "").split())[:400]
    return message if reserved.get("status") != "True" else ""


def evicted_words(workload: Manifest) -> str:
    """Why Kueue took a job's pods away, in its own words; empty where it did not."""
    for condition in parts(workload, "status", "conditions"):
        if condition["type"] == "Evicted" and condition.get("reason") == "Preempted" and condition["status"] == "True":
            return " ".join(str(condition.get("message") or "preempted").split())[:400]
    return ""


def workload_of(api: KubernetesApi, job: Manifest, seconds: float) -> Manifest:
    """The Workload of a job; empty where there is none, or where nobody may ask.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    ask = partial(
        list_workloads(api),
        api.namespace,
        label_selector=f"{JOB_UID}={job['metadata']['uid']}",
        _preload_content=False,
        _request_timeout=seconds,
    )
    answer = api.request("asking Kueue of a job", ask, (FORBIDDEN, NOT_FOUND))
    workloads = parts(answer or {}, "items")
    return workloads[0] if workloads else {}


def limits(api: KubernetesApi, queue: str, seconds: float) -> dict[str, str] | None:
    """The most of each resource that a job in a local queue can ever hold; none where nobody may ask.

    Args:
        api: The cluster and namespace.
        queue: The local queue.
        seconds: How long to wait for each answer.

    Raises:
        InvalidInputError: There is no such queue, or no Kueue.
        TrainstackError: The cluster does not answer.
    """
    options: Any = {"_preload_content": False, "_request_timeout": seconds}
    ask = partial(api.custom.get_namespaced_custom_object, GROUP, VERSION, api.namespace, "localqueues", queue)
    try:
        local = api.request("looking for a queue", partial(ask, **options), (FORBIDDEN,))
    except TrainstackError as exc:
        if api.resources_of("asking for Kueue", GROUP, VERSION, seconds) is None:
            raise InvalidInputError(
                f"kubernetes: queue {queue!r}: the cluster serves no Kueue ({GROUP}/{VERSION}): install it there, or "
                "leave out queue",
                field="queue",
            ) from exc
        raise InvalidInputError(
            f"kubernetes: there is no queue {queue!r} in {api.config.described}: name one that is there, or declare "
            "one with ts.Queue",
            field="queue",
        ) from exc
    if local is None:
        return None
    name = str(part(local, "spec").get("clusterQueue"))
    ask = partial(api.custom.get_cluster_custom_object, GROUP, VERSION, "clusterqueues", name)
    found = api.request("looking for a cluster queue", partial(ask, **options), (FORBIDDEN, NOT_FOUND))
    return None if found is None else _limits(part(found, "spec"))


def _limits(spec: Manifest) -> dict[str, str]:
    """The most that one flavor has, with what may be borrowed; a resource without a bound is left out."""
    from kubernetes import utils

    library: Any = utils
    most: dict[str, Any] = {}
    unbounded: set[str] = set()
    for group in parts(spec, "resourceGroups"):
        for flavor in parts(group, "flavors"):
            for resource in parts(flavor, "resources"):
                name, borrowing = str(resource["name"]), resource.get("borrowingLimit")
                if spec.get("cohortName") and borrowing is None:
                    unbounded.add(name)
                amount = library.parse_quantity(resource["nominalQuota"]) + library.parse_quantity(borrowing or 0)
                most[name] = max(most.get(name, 0), amount)
    return {name: str(amount) for name, amount in most.items() if name not in unbounded}
