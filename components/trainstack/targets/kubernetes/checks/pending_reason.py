"""Why a submitted job has no pods: what it may not have, or what it waits in line for. Asked once, then heard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api import kueue
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.watch import Watch
from trainstack.targets.kubernetes.manifest import Manifest, part

_AGAIN_SECONDS = 30.0


class PendingReason:
    """What a cluster says of a job that waits. It reaches nobody before it is asked."""

    def __init__(
        self,
        api: KubernetesApi,
        find: Callable[[], Manifest | None],
        suspend_reason: Callable[[Manifest], str],
    ) -> None:
        """Be about the object that `find` gives.

        Args:
            api: The cluster.
            find: Gives the object that makes the pods.
            suspend_reason: Why it makes none by itself, empty where it should.
        """
        self._api = api
        self._find = find
        self._suspend_reason = suspend_reason
        self._watch: Watch | None = None
        self._workloads: Watch | None = None
        self._queue_words = ""
        self._first = self._event_message = ""
        self._retry_at = 0.0

    def reason(self) -> str:
        """Why there are no pods, in the cluster's own words; empty where it says nothing."""
        if self._watch is None and time.monotonic() > self._retry_at:
            try:
                self._begin()
            except TrainstackError as exc:
                # A run waits for a cluster that is away.
                self._retry_at = time.monotonic() + _AGAIN_SECONDS
                self._first = str(exc)
        # Kueue's words end with what they tell of; an event's stay.
        return self._queue_words or self._event_message or self._first

    def _begin(self) -> None:
        job = self._find()
        if job is None:
            raise TrainstackError("its job was deleted")
        self._first = self._suspend_reason(job)
        self._watch = Watch(
            self._api,
            "why there are no pods",
            self._api.core.list_namespaced_event,
            self._listed,
            self._changed,
            field_selector=f"involvedObject.uid={job['metadata']['uid']}",
        )
        self._watch.follow()
        if labels.QUEUE in part(job, "metadata", "labels"):
            self._follow_workload(job)

    def _follow_workload(self, job: Manifest) -> None:
        """Hear what Kueue says of the job. Where nobody may ask, that it waits in a queue is all that is told."""

        def listed(workloads: list[Manifest]) -> None:
            for workload in workloads:
                changed(workload, False)

        def changed(workload: Manifest, gone: bool) -> None:
            words = "" if gone else kueue.pending_words(workload)
            queue = part(workload, "spec").get("queueName")
            self._queue_words = f"in queue {queue}: {words}" if words else ""

        with contextlib.suppress(TrainstackError):
            self._workloads = Watch(
                self._api,
                "what Kueue says",
                kueue.list_workloads(self._api),
                listed,
                changed,
                label_selector=f"{kueue.JOB_UID}={job['metadata']['uid']}",
            )
            self._workloads.follow()

    def close(self) -> None:
        """Hear no more."""
        for watch in (self._watch, self._workloads):
            if watch:
                watch.close()

    def _listed(self, events: list[Manifest]) -> None:
        for event in events:
            self._changed(event, False)

    def _changed(self, event: Manifest, gone: bool) -> None:
        if gone:
            return
        if event.get("reason") in ("Resumed", "MPIJobCreated", "MPIJobResumed"):
            self._first = ""
        if event.get("type") == "Warning" and event.get("message"):
            self._event_message = " ".join(str(event["message"]).split())[:400]
