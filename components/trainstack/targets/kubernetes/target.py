"""A Kubernetes cluster as a target: a pod a node, of one Job or MPIJob, and volumes of the pods in place of a folder.

Nothing on the cluster needs rights on its API. Everything that a run has there bears its labels, from which another
process can find it, take it over or remove it. The cluster drives the pods; whoever drives the run talks to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from trainstack.agent.distribution import Distribution, Horovod
from trainstack.agent.plan import ports_needed, read_plan
from trainstack.errors import TrainstackError
from trainstack.storage.object_store import ObjectStore
from trainstack.targets.base import Addresses, Layout, NodeGroupSpec, Orphan, RunRef
from trainstack.targets.kubernetes import labels, wait_ready
from trainstack.targets.kubernetes.api import removal
from trainstack.targets.kubernetes.api.client import Access
from trainstack.targets.kubernetes.api.exec import run, script
from trainstack.targets.kubernetes.api.json_objects import part
from trainstack.targets.kubernetes.checks.pending_reason import Queueing
from trainstack.targets.kubernetes.config import Cluster
from trainstack.targets.kubernetes.node import KubernetesNode, exit_code
from trainstack.targets.kubernetes.node_group import WORKERS, KubernetesNodeGroup
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.objects.indexed_job import IndexedJob
from trainstack.targets.kubernetes.objects.job_kind import Engine
from trainstack.targets.kubernetes.objects.mpijob import LAUNCHER, MpiJob
from trainstack.targets.kubernetes.pods import LAUNCHER_INDEX, Pods, running, state, waits_for
from trainstack.targets.kubernetes.transfer import pvc_transfer
from trainstack.targets.kubernetes.transfer.file_transfer import Streamed, Way
from trainstack.targets.kubernetes.transfer.object_store_transfer import Shelf
from trainstack.targets.kubernetes.transfer.sync_client import Carrier
from trainstack.targets.transfer.log_merge import JoinedLog

FIRST_PORT = 7000
"""Pods have all ports to themselves, so these are always free."""
# What an agent ends with by itself: the script ended well, or badly, or could not be started.
_OWN_ENDS = (0, 1, 2)


class KubernetesTarget:
    """A namespace of a cluster."""

    def __init__(self, cluster: Cluster, *, low_priority: bool = False, store: ObjectStore | None = None) -> None:
        """Name a cluster.

        Args:
            cluster: Which, and where in it.
            low_priority: Whether nodes may be machines that can be taken away.
            store: The workspace's object store, where it has one.
        """
        self._cluster = cluster
        self._low_priority = low_priority
        self._store = store

    @cached_property
    def _access(self) -> Access:
        return Access(self._cluster)

    def capacity(self) -> None:
        """Nothing: a cluster grows as needed, and what it lacks is told by its scheduler. Checks that it may be used.

        Raises:
            TrainstackError: It does not answer, or does not let us.
        """
        self._access.check()
        if self._store:
            self._store.check()

    def layout(self, ref: RunRef) -> Layout:
        """The volumes' places in the pods."""
        return run_objects.LAYOUT

    def addresses(self, ref: RunRef, distribution: Distribution, node_count: int) -> Addresses:
        """The pods' names, and the same ports always; one node alone stays on its loopback."""
        ports = tuple(range(FIRST_PORT, FIRST_PORT + ports_needed(distribution, node_count)))
        names = tuple(self._engine(distribution).host(ref, index) for index in range(node_count))
        return Addresses(names if node_count > 1 else ("127.0.0.1",), ports)

    def start(self, ref: RunRef, group: NodeGroupSpec) -> KubernetesNodeGroup:
        """Submit the job, wait for the pods, and hand over what nodes are given.

        Raises:
            TrainstackError: The cluster refuses, does not answer, or has no place for the pods in time.
        """
        if group.runtime.image is None:
            raise TrainstackError("a run on Kubernetes needs its environment as an image")
        access = self._access
        plan = read_plan(ref.root / "launch.json")
        engine = self._engine(plan.distribution)
        engine.submit(ref, group, grace=plan.grace_seconds, low_priority=self._low_priority)
        pods = Pods(access, _attempt(ref, group.attempt)).follow()
        log = JoinedLog(ref.root, group.node_count)
        try:
            log.begin()
            way = self._way(ref)
            way.begin(group)
            found = self._group(ref, way, engine, group.attempt, pods, group.node_count, group.runtime.python, log)
            queueing = Queueing(access, lambda: engine.find(_attempt(ref, group.attempt)), engine.held)
            wait_ready.wait(pods, queueing, group, self._cluster, lambda index: found.carriers[index].hand_over())
            engine.annotate(ref, labels.GIVEN, " ".join(pods.uids()))
            _all(group.waiting, lambda: _handing(pods), [*map(self._giver(group), found.nodes)])
            engine.annotate(ref, labels.HANDED)
        except BaseException:
            pods.close()
            raise
        for carrier in found.carriers:
            carrier.start()
        return found

    def attach(self, ref: RunRef, attempt: int, node_count: int) -> KubernetesNodeGroup | None:
        """Take over the pods of an attempt.

        Returns:
            The nodes, when every node has what it needs and runs, or its agent has come to an end of its own.
        """
        engine, job = self._found(ref)
        if job is None or labels.HANDED not in part(job, "metadata", "annotations"):
            return None
        if job["metadata"]["labels"].get(labels.ATTEMPT) != str(attempt):
            return None
        pods = Pods(self._access, _attempt(ref, attempt), _given(job))
        if not all(_whole(pods.get(index)) and not pods.gone(index) for index in range(node_count)):
            return None
        log = JoinedLog(ref.root, node_count)
        log.resume()
        python = _python(engine, job)
        group = self._group(ref, self._way(ref, begun=True), engine, attempt, pods.follow(), node_count, python, log)
        for carrier in group.carriers:
            carrier.start()
        return group

    def node(self, ref: RunRef, index: int) -> KubernetesNode | None:
        """The pod of a node, when it runs."""
        engine, job = self._found(ref)
        if job is None:
            return None
        pods = Pods(self._access, labels.of_nodes(ref), _given(job))
        pod = pods.get(index)
        if pod is None or pods.gone(index) or not running(pod):
            return None
        told = ref.root / run_objects.ended(_number(job), index)
        return KubernetesNode(self._access, pods.follow(), index, _python(engine, job), told)

    def collect_outputs(self, ref: RunRef) -> None:
        """End the nodes, and bring home what nobody has fetched.

        Raises:
            TrainstackError: The cluster does not answer, or something cannot be brought home.
        """
        engine, job = self._found(ref)
        way = self._way(ref, begun=True)
        if job is None and way.left:
            log = JoinedLog(ref.root, len(read_plan(ref.root / "launch.json").nodes))
            log.resume()
            way.wait_synced(None, None, log.grown)
            log.end()
            way.release()
        noted = part(job, "metadata", "annotations")
        if job is None or labels.HOME in noted or labels.GIVEN not in noted:
            return
        count = engine.count(job)
        pods = Pods(self._access, labels.of_nodes(ref), _given(job)).follow()
        log = JoinedLog(ref.root, count)
        log.resume()
        group = self._group(ref, way, engine, _number(job), pods, count, _python(engine, job), log)
        try:
            there = [node for node in group.nodes if node.pod and node.poll() is None]
            with ThreadPoolExecutor(max_workers=WORKERS) as pool:
                list(pool.map(KubernetesNode.kill, there))
            group.wait_synced()
        finally:
            pods.close()

    def remove_all(self, ref: RunRef) -> int:
        """Remove all objects of a run.

        Returns:
            How many pods there were.

        Raises:
            TrainstackError: The cluster does not answer, or will not let go of one.
        """
        removed = removal.remove(self._access, labels.of_run(ref))
        self._way(ref, begun=True).clear()
        return removed

    def unlisted(self, ref: RunRef) -> Orphan | None:
        """The claim that may have something of a run, though the cluster has no object of it."""
        claim = pvc_transfer.noted(ref)
        return Orphan(ref.id, "claim", claim) if claim else None

    def orphans(self, workspace: str) -> Sequence[Orphan]:
        """Jobs, services and pods of a workspace's runs.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        found = removal.everything(self._access, f"{labels.WORKSPACE}={workspace}")
        return [Orphan(thing.labels.get(labels.RUN, ""), thing.kind, thing.name) for thing in found]

    def _engine(self, distribution: Distribution) -> Engine:
        """What makes the pods of such a run."""
        by_mpi = self._cluster.engine == "mpijob" and isinstance(distribution, Horovod)
        return MpiJob(self._access) if by_mpi else IndexedJob(self._access)

    def _found(self, ref: RunRef) -> tuple[Engine, dict[str, Any] | None]:
        """What has made the pods of a run, and its object; none when there is none."""
        selector = labels.of_nodes(ref)
        if self._cluster.engine == "mpijob":
            engine = MpiJob(self._access)
            if found := engine.find(selector):
                return engine, found
        engine = IndexedJob(self._access)
        return engine, engine.find(selector)

    def _way(self, ref: RunRef, *, begun: bool = False) -> Way:
        """Which way the files of a run take; of one that has begun, what it has begun with."""
        claim = (pvc_transfer.noted(ref) if begun else None) or (None if self._store else self._cluster.store)
        if claim:
            return pvc_transfer.ClaimStore(self._access, claim, ref)
        return Shelf(self._store, ref) if self._store else Streamed(ref)

    def _group(
        self, ref: RunRef, way: Way, engine: Engine, attempt: int, pods: Pods, count: int, python: str, log: JoinedLog
    ) -> KubernetesNodeGroup:
        access = self._access
        nodes = [
            KubernetesNode(access, pods, index, python, ref.root / run_objects.ended(attempt, index))
            for index in range(count)
        ]
        carriers = [Carrier(access, ref, node, log.grown, way) for node in nodes]

        def settled() -> None:
            living = next((node for node in nodes if node.pod and not node.lost and not node.leaving), None)
            way.wait_synced([index for index, carrier in enumerate(carriers) if carrier.cut_off], living, log.grown)
            log.end()
            engine.annotate(ref, labels.HOME)

        return KubernetesNodeGroup(nodes, carriers, pods, settled, way.release)

    def _giver(self, group: NodeGroupSpec) -> Callable[[KubernetesNode], Callable[[], Any]]:
        """What tells a node its variables, which no object of the cluster may hold."""
        line = json.dumps(group.variables).encode() + b"\n"
        command = [
            group.runtime.python,
            "-c",
            script("pass_env"),
            run_objects.FIFO,
            str(self._cluster.pending_deadline),
        ]
        return lambda node: lambda: run(self._access, node.pod, labels.NODE, command, [line])


def _handing(pods: Pods) -> str:
    """What the hand-over of variables waits for: the launcher of an MPIJob calls the workers first."""
    launcher = pods.get(LAUNCHER_INDEX)
    if launcher is None or "running" in state(launcher, LAUNCHER):
        return "variables are handed over"
    return f"launcher: {waits_for(launcher, [LAUNCHER])[0]}"


def _all(waiting: Callable[[str], None], reason: Callable[[], str], calls: Sequence[Callable[[], Any]]) -> None:
    """Do some things side by side, and go on looking whether anybody wants it all ended."""
    pool = ThreadPoolExecutor(max_workers=WORKERS)
    try:
        wait_ready.wait_for([pool.submit(call) for call in calls], lambda: waiting(reason()))
    finally:
        # Whoever wants it ended does not wait for what is under way: it breaks off with its pod.
        pool.shutdown(wait=False, cancel_futures=True)


def _attempt(ref: RunRef, attempt: int) -> str:
    return f"{labels.of_run(ref)},{labels.ATTEMPT}={attempt}"


def _python(engine: Engine, job: dict[str, Any]) -> str:
    return str(engine.template(job)["containers"][0]["command"][0])


def _given(job: dict[str, Any]) -> list[str]:
    """The uids of the pods that were given something."""
    return str(part(job, "metadata", "annotations").get(labels.GIVEN) or "").split()


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
