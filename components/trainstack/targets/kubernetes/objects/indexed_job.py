"""Runs as Indexed Jobs, which every cluster has: one a run, with a headless Service."""

from __future__ import annotations

from trainstack.targets.base import NodeGroupSpec, RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api import removal
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.manifest import Manifest, part
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.objects.run_network import isolate


class IndexedJob:
    """The Job of a run."""

    launcher = None

    def __init__(self, api: KubernetesApi) -> None:
        """Work in the namespace of `api`."""
        self._api = api

    def submit(self, ref: RunRef, group: NodeGroupSpec, *, grace: float, low_priority: bool) -> None:
        """Make job, service and network policy."""
        api = self._api
        with api.errors("submitting the job"):
            body = run_objects.job(ref, group, api.config, grace=grace, low_priority=low_priority)
            job = api.batch.create_namespaced_job(api.namespace, body, _request_timeout=ANSWER_SECONDS)
            owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job.metadata.name, "uid": job.metadata.uid}
            api.core.create_namespaced_service(
                api.namespace, run_objects.service(ref, group, owner), _request_timeout=ANSWER_SECONDS
            )
            isolate(api, ref, group, owner)

    def host(self, ref: RunRef, index: int) -> str:
        """The pod's name in the service."""
        return f"{labels.name(ref)}-{index}.{labels.name(ref)}"

    def find(self, selector: str) -> Manifest | None:
        """The job that bears `selector`."""
        return next(iter(removal.jobs(self._api, selector)), None)

    def annotate(self, ref: RunRef, key: str, value: str = "true") -> None:
        """Note how far it is."""
        with self._api.errors("noting how far a job is"):
            self._api.batch.patch_namespaced_job(
                labels.name(ref),
                self._api.namespace,
                {"metadata": {"annotations": {key: value}}},
                _request_timeout=ANSWER_SECONDS,
            )

    def count(self, job: Manifest) -> int:
        """How many nodes it has."""
        return int(job["spec"]["completions"])

    def template(self, job: Manifest) -> Manifest:
        """Its pods."""
        return part(job, "spec", "template", "spec")

    def suspend_reason(self, job: Manifest) -> str:
        """Whether it is suspended."""
        return labels.suspended_reason(job) if part(job, "spec").get("suspend") else ""
