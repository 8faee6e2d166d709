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
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.pods import Pods, pending_reason, state

ROLE = "reader"
_PATIENCE_SECONDS = 120.0
_KEEP_SECONDS = 60
_TICK = 0.5


@contextlib.contextmanager
def pod(api: KubernetesApi, ref: RunRef, runtime: Runtime, claim: str) -> Generator[str]:
    """Have one for a while; gives its name.

    Args:
        api: The cluster.
        ref: The run.
        runtime: What its nodes ran on.
        claim: The claim that is read.

    Raises:
        NotFoundError: The claim, or the namespace, is there no more.
        TrainstackError: The cluster does not schedule it, or does not answer.
    """
    selector = f"{labels.of_run(ref)},{labels.ROLE}={ROLE}"
    # Of somebody who was killed.
    removal.remove(api, selector)
    try:
        config = api.config.model_copy(update={"store": claim})
        _make(api, job(ref, runtime, config))
        pods = Pods(api, selector).follow()
        try:
            yield _running(pods, claim)
        finally:
            pods.close()
    finally:
        removal.remove(api, selector)


def job(ref: RunRef, runtime: Runtime, config: KubernetesConfig) -> Manifest:
    """A Job whose pod reads what pods that are gone have left on the claim.

    Args:
        ref: The run.
        runtime: What its nodes ran on: the machines have its image.
        config: The claim, and how pods run.
    """
    reader_labels = {
        labels.MANAGED: "trainstack",
        labels.WORKSPACE: ref.workspace,
        labels.RUN: ref.id,
        labels.ROLE: ROLE,
    }
    spec = {
        "restartPolicy": "Never",
        **run_objects.account(config),
        **run_objects.scheduling(config),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": run_objects.POD_RIGHTS,
        "containers": [
            {
                **run_objects.container(runtime, labels.SIDECAR),
                "args": ["-c", "import time; time.sleep(3600)"],
                "resources": run_objects.SIDECAR_RESOURCES,
                "volumeMounts": run_objects.store_mount(config),
            }
        ],
        "volumes": run_objects.store_volume(config),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{labels.name(ref)}-r", "labels": reader_labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": 1,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _KEEP_SECONDS,
            "template": {"metadata": {"labels": reader_labels}, "spec": spec},
        },
    }


def _make(api: KubernetesApi, body: Manifest) -> None:
    from kubernetes.client.exceptions import ApiException

    with api.errors("making a pod that reads a claim"):
        try:
            api.batch.create_namespaced_job(api.namespace, body, _request_timeout=ANSWER_SECONDS)
        except ApiException as exc:
            refused: Any = exc
            if refused.status == 404:
                raise NotFoundError(f"there is no {api.config.described}") from exc
            raise


def _running(pods: Pods, claim: str) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    reason = "it is being made"
    while time.monotonic() < deadline:
        if reader := pods.get(0):
            if "running" in state(reader, labels.SIDECAR):
                return str(reader["metadata"]["name"])
            reason, hopeless = pending_reason(reader, [labels.SIDECAR])
            if "persistentvolumeclaim" in reason and "not found" in reason:
                raise NotFoundError(reason)
            if hopeless:
                break
        pods.news(_TICK)
    raise TrainstackError(
        f"kubernetes: what the run has left on claim {claim} cannot be fetched now, its pod does not start "
        f"({reason}): it stays there, and the next `pulumi up` fetches it"
    )
