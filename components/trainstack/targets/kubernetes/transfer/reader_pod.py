"""A pod that is made to read the claim of pods that are gone, and goes when that is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

from trainstack.errors import NotFoundError, TrainstackError
from trainstack.targets.base import RunRef, Runtime
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api import removal
from trainstack.targets.kubernetes.api.client import ANSWER_SECONDS, Access
from trainstack.targets.kubernetes.config import Cluster
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.pods import Pods, state, waits_for

ROLE = "reader"
_PATIENCE_SECONDS = 120.0
_KEEP_SECONDS = 60
_TICK = 0.5


@contextlib.contextmanager
def pod(access: Access, ref: RunRef, runtime: Runtime, claim: str) -> Generator[str]:
    """Have one for a while; gives its name.

    Args:
        access: The cluster.
        ref: The run.
        runtime: What its nodes ran on.
        claim: The claim that is read.

    Raises:
        NotFoundError: The claim, or the namespace, is there no more.
        TrainstackError: The cluster has no place for it, or does not answer.
    """
    selector = f"{labels.of_run(ref)},{labels.ROLE}={ROLE}"
    # Of somebody who was killed.
    removal.remove(access, selector)
    try:
        cluster = access.cluster.model_copy(update={"store": claim})
        _make(access, job(ref, runtime, cluster))
        pods = Pods(access, selector).follow()
        try:
            yield _running(pods, claim)
        finally:
            pods.close()
    finally:
        removal.remove(access, selector)


def job(ref: RunRef, runtime: Runtime, cluster: Cluster) -> dict[str, Any]:
    """A Job whose pod reads what pods that are gone have left on the claim.

    Args:
        ref: The run.
        runtime: What its nodes ran on: the machines have its image.
        cluster: The claim, and how pods are to be placed.
    """
    marks = {
        labels.MANAGED: "trainstack",
        labels.WORKSPACE: ref.workspace,
        labels.RUN: ref.id,
        labels.ROLE: ROLE,
    }
    spec = {
        "restartPolicy": "Never",
        **run_objects.account(cluster),
        **run_objects.placed(cluster),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": run_objects.POD_RIGHTS,
        "containers": [
            {
                **run_objects.container(runtime, labels.COURIER),
                "args": ["-c", "import time; time.sleep(3600)"],
                "resources": run_objects.COURIER_RESOURCES,
                "volumeMounts": run_objects.store_mount(cluster),
            }
        ],
        "volumes": run_objects.store_volume(cluster),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{labels.name(ref)}-r", "labels": marks},
        "spec": {
            "completionMode": "Indexed",
            "completions": 1,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _KEEP_SECONDS,
            "template": {"metadata": {"labels": marks}, "spec": spec},
        },
    }


def _make(access: Access, body: dict[str, Any]) -> None:
    from kubernetes.client.exceptions import ApiException

    with access.errors("making a pod that reads a claim"):
        try:
            access.batch.create_namespaced_job(access.namespace, body, _request_timeout=ANSWER_SECONDS)
        except ApiException as exc:
            refused: Any = exc
            if refused.status == 404:
                raise NotFoundError(f"there is no {access.cluster.described}") from exc
            raise


def _running(pods: Pods, claim: str) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    reason = "it is being made"
    while time.monotonic() < deadline:
        if found := pods.get(0):
            if "running" in state(found, labels.COURIER):
                return str(found["metadata"]["name"])
            reason, hopeless = waits_for(found, [labels.COURIER])
            if "persistentvolumeclaim" in reason and "not found" in reason:
                raise NotFoundError(reason)
            if hopeless:
                break
        pods.news(_TICK)
    raise TrainstackError(
        f"kubernetes: what the run has left on claim {claim} cannot be fetched now, its pod does not start "
        f"({reason}): it stays there, and the next `pulumi up` fetches it"
    )
