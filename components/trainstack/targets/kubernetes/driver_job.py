"""The Jobs that drive runs in the cluster: made, looked at, made anew when they have ended without the run's end."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.targets.base import DriverSpec, DriverState, RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest, part, parts
from trainstack.targets.kubernetes.objects import driver_objects
from trainstack.targets.kubernetes.pods import state

_CONFLICT = 409
_CONTAINER = "driver"


class DriverJobs:
    """The drivers of a namespace."""

    def __init__(self, config: KubernetesConfig) -> None:
        """Use a cluster; reaches nobody yet."""
        self._api = KubernetesApi(config)

    def start(self, ref: RunRef, spec: DriverSpec) -> None:
        """Make the driver's Job of a run, unless it is there and works.

        Raises:
            TrainstackError: The cluster refuses or does not answer, or still ends an earlier one.
        """
        from kubernetes.client.exceptions import ApiException

        api = self._api
        api.ensure_namespace()
        existing = self._find(ref)
        if existing is not None:
            if _active(existing):
                return
            self._delete(ref)
        body = driver_objects.job(ref, spec, api.config)
        with api.errors("submitting the run's driver"):
            try:
                job = api.batch.create_namespaced_job(api.namespace, body, _request_timeout=ANSWER_SECONDS)
            except ApiException as exc:
                refused: Any = exc
                # Somebody else has just made it.
                if refused.status == _CONFLICT:
                    return
                raise
            try:
                self._give_secrets(driver_objects.secret(ref, job.metadata.uid, json.dumps(spec.secrets)))
            except BaseException:
                # Its pod would wait for the Secret for ever.
                with contextlib.suppress(TrainstackError):
                    self._delete(ref)
                raise

    def state(self, ref: RunRef) -> DriverState:
        """Look how the driver of a run does.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        job = self._find(ref)
        if job is None:
            return DriverState(active=False)
        with self._api.errors("looking for the run's driver"):
            answer = self._api.core.list_namespaced_pod(
                self._api.namespace,
                label_selector=f"{labels.DRIVER}={ref.id}",
                _preload_content=False,
                _request_timeout=ANSWER_SECONDS,
            )
        pods = sorted(parts(json.loads(answer.data), "items"), key=lambda pod: pod["metadata"]["creationTimestamp"])
        return DriverState(active=_active(job), reason=_reason(job, pods))

    def _give_secrets(self, secret: Manifest) -> None:
        from kubernetes.client.exceptions import ApiException

        api = self._api
        try:
            api.core.create_namespaced_secret(api.namespace, secret, _request_timeout=ANSWER_SECONDS)
        except ApiException as exc:
            refused: Any = exc
            if refused.status != _CONFLICT:
                raise
            # That of an earlier driver, which the cluster has not collected yet.
            api.core.replace_namespaced_secret(
                secret["metadata"]["name"], api.namespace, secret, _request_timeout=ANSWER_SECONDS
            )

    def _find(self, ref: RunRef) -> Manifest | None:
        api, name = self._api, driver_objects.job_name(ref)
        return api.request(
            "looking for the run's driver",
            lambda: api.batch.read_namespaced_job(
                name, api.namespace, _preload_content=False, _request_timeout=ANSWER_SECONDS
            ),
        )

    def _delete(self, ref: RunRef) -> None:
        api, name = self._api, driver_objects.job_name(ref)
        api.request(
            "removing a driver that has ended",
            lambda: api.batch.delete_namespaced_job(
                name,
                api.namespace,
                # Its name is free at once.
                propagation_policy="Background",
                _preload_content=False,
                _request_timeout=ANSWER_SECONDS,
            ),
        )


def _active(job: Manifest) -> bool:
    ended = {"Complete", "Failed"}
    conditions = parts(job, "status", "conditions")
    deleted = part(job, "metadata").get("deletionTimestamp")
    return not deleted and not any(each["type"] in ended and each["status"] == "True" for each in conditions)


def _reason(job: Manifest, pods: list[Manifest]) -> str:
    """What a driver waits for, or how it ended, in the cluster's words."""
    if not pods:
        messages = [str(each.get("message") or "") for each in parts(job, "status", "conditions")]
        return next((message for message in messages if message), "its pod is to be made")
    pod = pods[-1]
    container_state = state(pod, _CONTAINER)
    if ended := part(container_state, "terminated"):
        message = " ".join(str(ended.get("message") or ended.get("reason") or "").split())
        return message[-300:] if ended.get("exitCode") else ""
    if waiting := part(container_state, "waiting"):
        return " ".join(f"{waiting.get('reason', '')} {waiting.get('message', '')}".split())[:300]
    if "running" in container_state:
        return ""
    unscheduled = [
        str(each.get("message") or "")
        for each in parts(pod, "status", "conditions")
        if each["type"] == "PodScheduled" and each["status"] != "True"
    ]
    return unscheduled[0][:300] if unscheduled else "its pod starts"
