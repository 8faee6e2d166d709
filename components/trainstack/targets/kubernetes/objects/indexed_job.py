"""Runs as Indexed Jobs, which every cluster has: one a run, with a headless Service."""

from __future__ import annotations

from typing import Any

from trainstack.targets.base import NodeGroupSpec, RunRef
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api import removal
from trainstack.targets.kubernetes.api.client import ANSWER_SECONDS, Access
from trainstack.targets.kubernetes.api.json_objects import part
from trainstack.targets.kubernetes.objects import run_objects


class IndexedJob:
    """The Job of a run."""

    def __init__(self, access: Access) -> None:
        """Work in the namespace of `access`."""
        self._access = access

    def submit(self, ref: RunRef, group: NodeGroupSpec, *, grace: float, low_priority: bool) -> None:
        """Make job and service."""
        access = self._access
        with access.errors("submitting the job"):
            body = run_objects.job(ref, group, access.cluster, grace=grace, low_priority=low_priority)
            made = access.batch.create_namespaced_job(access.namespace, body, _request_timeout=ANSWER_SECONDS)
            access.core.create_namespaced_service(
                access.namespace,
                run_objects.service(ref, group, made.metadata.uid),
                _request_timeout=ANSWER_SECONDS,
            )

    def host(self, ref: RunRef, index: int) -> str:
        """The pod's name in the service."""
        return f"{labels.name(ref)}-{index}.{labels.name(ref)}"

    def find(self, selector: str) -> dict[str, Any] | None:
        """The job that bears `selector`."""
        return next(iter(removal.jobs(self._access, selector)), None)

    def annotate(self, ref: RunRef, what: str, value: str = "true") -> None:
        """Note how far it is."""
        with self._access.errors("noting how far a job is"):
            self._access.batch.patch_namespaced_job(
                labels.name(ref),
                self._access.namespace,
                {"metadata": {"annotations": {what: value}}},
                _request_timeout=ANSWER_SECONDS,
            )

    def count(self, thing: dict[str, Any]) -> int:
        """How many nodes it has."""
        return int(thing["spec"]["completions"])

    def template(self, thing: dict[str, Any]) -> dict[str, Any]:
        """Its pods."""
        return part(thing, "spec", "template", "spec")

    def held(self, thing: dict[str, Any]) -> str:
        """Whether it is suspended."""
        return labels.waits(thing) if part(thing, "spec").get("suspend") else ""
