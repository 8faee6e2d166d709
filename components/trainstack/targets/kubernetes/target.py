"""A Kubernetes cluster as a target: a pod a node, of one Indexed Job, and volumes of the pods in place of a folder.

Nothing on the cluster needs rights on its API. Everything that a run has there bears its labels, from which another
process can find it, take it over or remove it. The cluster drives the pods; whoever drives the run talks to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.launch.distribution import Distribution
from trainstack.launch.plan import ports_needed, read_plan
from trainstack.targets import Addresses, GangSpec, Home, Layout, Stray
from trainstack.targets.joined import JoinedLog
from trainstack.targets.kubernetes import labels, manifests, removal, startup
from trainstack.targets.kubernetes.access import ANSWER_SECONDS, Access
from trainstack.targets.kubernetes.carrier import Carrier
from trainstack.targets.kubernetes.cluster import Cluster
from trainstack.targets.kubernetes.exec import run, script
from trainstack.targets.kubernetes.gang import WORKERS, KubernetesGang
from trainstack.targets.kubernetes.node import KubernetesNode, exit_code
from trainstack.targets.kubernetes.objects import part
from trainstack.targets.kubernetes.pods import Pods, running, state

FIRST_PORT = 7000
"""Pods have all ports to themselves, so these are always free."""
# What an agent ends with by itself: the script ended well, or badly, or could not be started.
_OWN_ENDS = (0, 1, 2)


class KubernetesTarget:
    """A namespace of a cluster."""

    images = True

    def __init__(self, cluster: Cluster, *, low_priority: bool = False) -> None:
        """Name a cluster.

        Args:
            cluster: Which, and where in it.
            low_priority: Whether nodes may be machines that can be taken away.
        """
        self._cluster = cluster
        self._low_priority = low_priority

    @cached_property
    def _access(self) -> Access:
        return Access(self._cluster)

    def capacity(self) -> None:
        """Nothing: a cluster grows as needed, and what it lacks is told by its scheduler. Checks that it may be used.

        Raises:
            TrainstackError: It does not answer, or does not let us.
        """
        self._access.check()

    def layout(self, home: Home) -> Layout:
        """The volumes' places in the pods."""
        return manifests.LAYOUT

    def addresses(self, home: Home, distribution: Distribution, node_count: int) -> Addresses:
        """The pods' names, and the same ports always; one node alone stays on its loopback."""
        ports = tuple(range(FIRST_PORT, FIRST_PORT + ports_needed(distribution, node_count)))
        names = tuple(labels.host(home, index) for index in range(node_count))
        return Addresses(names if node_count > 1 else ("127.0.0.1",), ports)

    def start(self, home: Home, gang: GangSpec) -> KubernetesGang:
        """Make job and service, wait for the pods, and hand over what nodes are given.

        Raises:
            TrainstackError: The cluster refuses, does not answer, or has no place for the pods in time.
        """
        if gang.runtime.image is None:
            raise TrainstackError("a run on Kubernetes needs its environment as an image")
        access = self._access
        grace = read_plan(home.root / "launch.json").grace_seconds
        access.ensure_namespace()
        with access.errors("submitting the job"):
            body = manifests.job(home, gang, self._cluster, grace=grace, low_priority=self._low_priority)
            made = access.batch.create_namespaced_job(access.namespace, body, _request_timeout=ANSWER_SECONDS)
            access.core.create_namespaced_service(
                access.namespace,
                manifests.service(home, gang, made.metadata.uid),
                _request_timeout=ANSWER_SECONDS,
            )
        pods = Pods(access, _attempt(home, gang.attempt)).follow()
        log = JoinedLog(home.root, gang.node_count)
        try:
            log.begin()
            found = self._gang(home, gang.attempt, pods, gang.node_count, gang.runtime.python, log)
            startup.wait(
                access, pods, labels.name(home), gang, self._cluster, lambda index: found.carriers[index].hand_over()
            )
            self._annotate(home, labels.GIVEN)
            _all(gang.waiting, "variables are handed over", [*map(self._giver(gang), found.nodes)])
            self._annotate(home, labels.HANDED)
        except BaseException:
            pods.close()
            raise
        for carrier in found.carriers:
            carrier.start()
        return found

    def attach(self, home: Home, attempt: int, node_count: int) -> KubernetesGang | None:
        """Take over the pods of an attempt.

        Returns:
            The gang, when every node has what it needs and runs, or its agent has come to an end of its own.
        """
        job = self._job(home)
        if job is None or labels.HANDED not in part(job, "metadata", "annotations"):
            return None
        if job["metadata"]["labels"].get(labels.ATTEMPT) != str(attempt):
            return None
        pods = Pods(self._access, _attempt(home, attempt))
        if not all(_whole(pods.get(index)) and not pods.gone(index) for index in range(node_count)):
            return None
        log = JoinedLog(home.root, node_count)
        log.resume()
        gang = self._gang(home, attempt, pods.follow(), node_count, _python(job), log)
        for carrier in gang.carriers:
            carrier.start()
        return gang

    def node(self, home: Home, index: int) -> KubernetesNode | None:
        """The pod of a node, when it runs."""
        job = self._job(home)
        if job is None:
            return None
        pods = Pods(self._access, labels.of_run(home))
        pod = pods.get(index)
        if pod is None or pods.gone(index) or not running(pod):
            return None
        told = home.root / manifests.ended(_number(job), index)
        return KubernetesNode(self._access, pods.follow(), index, _python(job), told)

    def recover(self, home: Home) -> None:
        """End the nodes, and bring home what nobody has fetched.

        Raises:
            TrainstackError: The cluster does not answer, or something cannot be brought home.
        """
        job = self._job(home)
        noted = part(job, "metadata", "annotations")
        if job is None or labels.HOME in noted or labels.GIVEN not in noted:
            return
        count = int(job["spec"]["completions"])
        pods = Pods(self._access, labels.of_run(home)).follow()
        log = JoinedLog(home.root, count)
        log.resume()
        gang = self._gang(home, _number(job), pods, count, _python(job), log)
        try:
            there = [node for node in gang.nodes if node.pod and node.poll() is None]
            with ThreadPoolExecutor(max_workers=WORKERS) as pool:
                list(pool.map(KubernetesNode.kill, there))
            gang.settle()
        finally:
            pods.close()

    def sweep(self, home: Home) -> int:
        """Remove job, service and pods of a run.

        Returns:
            How many pods there were.

        Raises:
            TrainstackError: The cluster does not answer, or will not let go of one.
        """
        return removal.remove(self._access, labels.of_run(home))

    def strays(self, workspace: str) -> Sequence[Stray]:
        """Jobs, services and pods of a workspace's runs.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        found = removal.everything(self._access, f"{labels.WORKSPACE}={workspace}")
        return [Stray(thing.labels.get(labels.RUN, ""), thing.kind, thing.name) for thing in found]

    def _gang(self, home: Home, attempt: int, pods: Pods, count: int, python: str, log: JoinedLog) -> KubernetesGang:
        access = self._access
        nodes = [
            KubernetesNode(access, pods, index, python, home.root / manifests.ended(attempt, index))
            for index in range(count)
        ]
        carriers = [Carrier(access, home, node, log.grown) for node in nodes]

        def settled() -> None:
            log.end()
            self._annotate(home, labels.HOME)

        return KubernetesGang(nodes, carriers, pods, settled)

    def _giver(self, gang: GangSpec) -> Callable[[KubernetesNode], Callable[[], Any]]:
        """What tells a node its variables, which no object of the cluster may hold."""
        line = json.dumps(gang.variables).encode() + b"\n"
        command = [gang.runtime.python, "-c", script("hand"), manifests.FIFO]
        return lambda node: lambda: run(self._access, node.pod, labels.NODE, command, [line])

    def _annotate(self, home: Home, what: str) -> None:
        with self._access.errors("noting how far a job is"):
            self._access.batch.patch_namespaced_job(
                labels.name(home),
                self._access.namespace,
                {"metadata": {"annotations": {what: "true"}}},
                _request_timeout=ANSWER_SECONDS,
            )

    def _job(self, home: Home) -> dict[str, Any] | None:
        return next(iter(removal.jobs(self._access, labels.of_run(home))), None)


def _all(waiting: Callable[[str], None], reason: str, calls: Sequence[Callable[[], Any]]) -> None:
    """Do some things side by side, and go on looking whether anybody wants it all ended."""
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        startup.wait_for([pool.submit(call) for call in calls], lambda: waiting(reason))


def _attempt(home: Home, attempt: int) -> str:
    return f"{labels.of_run(home)},{labels.ATTEMPT}={attempt}"


def _python(job: dict[str, Any]) -> str:
    return str(job["spec"]["template"]["spec"]["containers"][0]["command"][0])


def _number(job: dict[str, Any]) -> int:
    return int(job["metadata"]["labels"][labels.ATTEMPT])


def _whole(pod: dict[str, Any] | None) -> bool:
    """Whether a pod's node runs, or its agent has ended by itself, and its courier is there."""
    if pod is None or "running" not in state(pod, labels.COURIER) or pod["metadata"].get("deletionTimestamp"):
        return False
    found = state(pod, labels.NODE)
    if "running" in found:
        return True
    ended = part(found, "terminated")
    return ended.get("reason") != "OOMKilled" and exit_code(int(ended.get("exitCode", -1))) in _OWN_ENDS
