"""What the cluster says of a run's pods, by one watch a run and never by asking again and again."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any

from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.watch import Watch
from trainstack.targets.kubernetes.manifest import Manifest, part, parts

LAUNCHER_INDEX = -1
"""Number by which the launcher of an MPIJob is known, which is no node."""
# Reasons of a container that waits which no waiting cures.
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError")


class Pods:
    """The pods of an attempt, by node number, as last heard of."""

    def __init__(self, api: KubernetesApi, selector: str, uids: Collection[str] = ()) -> None:
        """Ask once for the pods that bear `selector`.

        Args:
            api: The cluster.
            selector: Their labels.
            uids: Those that have a run's inputs, where that is known: what has replaced them since,
                under the same name perhaps, is none of its nodes.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        self._uids = frozenset(uids)
        self._known: dict[int, Manifest] = {}
        self._gone: set[int] = set()
        self._news = threading.Event()
        self._watch = Watch(
            api,
            "pods",
            api.core.list_namespaced_pod,
            self._listed,
            self._changed,
            label_selector=selector,
        )

    def follow(self) -> Pods:
        """Watch them from here on."""
        self._watch.follow()
        return self

    def news(self, seconds: float) -> None:
        """Wait until something has changed since the last call, at most so many seconds."""
        self._news.wait(seconds)
        self._news.clear()

    def get(self, index: int) -> Manifest | None:
        """The pod of a node; none when there has not been one."""
        return self._known.get(index)

    def uids(self) -> list[str]:
        """What tells these pods from any that replace them."""
        return [pod["metadata"]["uid"] for index, pod in sorted(self._known.items()) if index != LAUNCHER_INDEX]

    def gone(self, index: int) -> bool:
        """Whether a node had a pod that is there no more."""
        return index in self._gone

    def close(self) -> None:
        """Watch no longer."""
        self._watch.close()

    def _listed(self, pods: list[Manifest]) -> None:
        for pod in pods:
            self._note(pod)
        uids = {pod["metadata"]["uid"] for pod in pods}
        self._gone |= {index for index, pod in self._known.items() if pod["metadata"]["uid"] not in uids}
        self._news.set()

    def _changed(self, pod: Manifest, gone: bool) -> None:
        self._note(pod, gone=gone)
        self._news.set()

    def _note(self, pod: Manifest, *, gone: bool = False) -> None:
        index = number(pod)
        if index is None or (self._uids and pod["metadata"]["uid"] not in self._uids):
            return
        # A second pod of a number is none that we gave anything to.
        if self._known.setdefault(index, pod)["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        self._known[index] = pod
        if gone:
            self._gone.add(index)


def number(pod: Manifest) -> int | None:
    """Which node a pod is: an Indexed Job annotates its pods, the MPI operator labels its workers."""
    index = part(pod, "metadata", "annotations").get(labels.INDEX)
    if index is None:
        pod_labels = part(pod, "metadata", "labels")
        if pod_labels.get(labels.MPI_ROLE) == "launcher":
            return LAUNCHER_INDEX
        index = pod_labels.get(labels.MPI_INDEX)
    return None if index is None else int(index)


def state(pod: Manifest, container: str) -> Manifest:
    """The state of a container as the cluster has it: one of `waiting`, `running`, `terminated`; empty before."""
    return part(_status(pod, container), "state")


def ended_container(pod: Manifest, container: str) -> str:
    """What tells the container that ended last from those before it; empty where none has."""
    status = _status(pod, container)
    ended = part(status, "state", "terminated") or part(status, "lastState", "terminated")
    return str(ended.get("containerID") or "")


def _status(pod: Manifest, container: str) -> Manifest:
    for status in parts(pod, "status", "containerStatuses"):
        if status["name"] == container:
            return status
    return {}


def running(pod: Manifest) -> bool:
    """Whether both containers run."""
    return all("running" in state(pod, name) for name in (labels.NODE, labels.SIDECAR))


def pending_reason(pod: Manifest, containers: Sequence[str] = (labels.NODE, labels.SIDECAR)) -> tuple[str, bool]:
    """Why a pod does not run yet, in the cluster's own words, and whether waiting cannot help."""
    status = part(pod, "status")
    for name in containers:
        container_state = state(pod, name)
        if waiting := container_state.get("waiting"):
            reason, message = str(waiting.get("reason") or ""), _line(waiting.get("message"))
            if reason in ("ContainerCreating", "PodInitializing", ""):
                return "its image is pulled", False
            if reason == "CrashLoopBackOff" and (last := part(_status(pod, name), "lastState", "terminated")):
                # It is started again and again: why it ended says more than for how long it rests.
                return f"its container {name} {_ended(last)}", True
            return f"{reason}: {message}" if message else reason, reason in _HOPELESS
        if ended := container_state.get("terminated"):
            return f"its container {name} {_ended(ended)}", True
    if status.get("phase") == "Failed":
        return f"{status.get('reason') or 'failed'}: {_line(status.get('message'))}".rstrip(": "), True
    for condition in parts(status, "conditions"):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return f"{_line(condition.get('message')) or condition.get('reason') or 'not scheduled'}", False
    return ("it starts" if status.get("phase") == "Running" else "it is being scheduled"), False


def termination_reason(pod: Manifest | None, *, gone: bool) -> str:
    """Why the cluster ended a node, in its own words; empty where it did not."""
    status = part(pod, "status")
    if status.get("reason"):
        return f"{status['reason']}: {_line(status.get('message'))}".rstrip(": ")
    for condition in parts(status, "conditions"):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return f"{condition.get('reason')}: {_line(condition.get('message'))}".rstrip(": ")
    if gone or part(pod, "metadata").get("deletionTimestamp"):
        return "its pod was deleted"
    return ""


def _ended(terminated: Manifest) -> str:
    words = [str(terminated.get("reason") or ""), f"exit code {terminated.get('exitCode')}"]
    if message := _line(terminated.get("message")):
        words.append(message)
    return f"ended ({', '.join(word for word in words if word)})"


def _line(text: Any) -> str:
    return " ".join(str(text or "").split())[:400]
