"""A Kubernetes cluster as a target: one pod per node, of one Job or MPIJob, and volumes in place of a folder.

Nothing on the cluster needs rights on its API. Everything that a run has there bears its labels, from which another
process can find it, take it over or remove it. The cluster drives the pods; whoever drives the run talks to them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from trainstack.agent.distribution import Distribution, Horovod
from trainstack.agent.plan import ports_needed, read_plan
from trainstack.errors import PreemptedError, TrainstackError
from trainstack.storage.object_store.presigned import PresignedStore
from trainstack.targets.base import Addresses, Layout, NodeGroupSpec, Orphan, RunRef
from trainstack.targets.kubernetes import labels, wait_ready
from trainstack.targets.kubernetes.api import kueue, removal
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.exec import run, script
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.checks.pending_reason import PendingReason
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest, part
from trainstack.targets.kubernetes.node import KubernetesNode, exit_code
from trainstack.targets.kubernetes.node_group import WORKERS, KubernetesNodeGroup
from trainstack.targets.kubernetes.objects import run_objects
from trainstack.targets.kubernetes.objects.indexed_job import IndexedJob
from trainstack.targets.kubernetes.objects.job_kind import JobKind
from trainstack.targets.kubernetes.objects.mpijob import MpiJob
from trainstack.targets.kubernetes.pods import Pods, running, state
from trainstack.targets.kubernetes.transfer import pvc_transfer
from trainstack.targets.kubernetes.transfer.file_transfer import ExecTransfer, FileTransfer
from trainstack.targets.kubernetes.transfer.object_store_transfer import ObjectStoreTransfer
from trainstack.targets.kubernetes.transfer.sync_client import SyncClient
from trainstack.targets.transfer.log_merge import MergedLog

FIRST_PORT = 7000
"""Pods have all ports to themselves, so these are always free."""
# What an agent ends with by itself: the script ended well, or badly, or could not be started.
_OWN_ENDS = (0, 1, 2)


class KubernetesTarget:
    """A namespace of a cluster."""

    def __init__(
        self, config: KubernetesConfig, *, low_priority: bool = False, store: PresignedStore | None = None
    ) -> None:
        """Name a cluster.

        Args:
            config: Which, and where in it.
            low_priority: Whether nodes may be machines that can be taken away.
            store: The workspace's object store, where it has one.
        """
        self._config = config
        self._low_priority = low_priority
        self._store = store

    @cached_property
    def _api(self) -> KubernetesApi:
        return KubernetesApi(self._config)

    def capacity(self) -> None:
        """Nothing: a cluster grows as needed, and what it lacks is told by its scheduler. Checks that it may be used.

        Raises:
            TrainstackError: It does not answer, or does not let us.
        """
        self._api.check()
        if self._store:
            self._store.check()

    def layout(self, ref: RunRef) -> Layout:
        """The folders of the volumes in the pods."""
        return run_objects.LAYOUT

    def addresses(self, ref: RunRef, distribution: Distribution, node_count: int) -> Addresses:
        """The pods' names, and the same ports always; one node alone stays on its loopback."""
        ports = tuple(range(FIRST_PORT, FIRST_PORT + ports_needed(distribution, node_count)))
        names = tuple(self._job_kind(distribution).host(ref, index) for index in range(node_count))
        return Addresses(names if node_count > 1 else ("127.0.0.1",), ports)

    def start(self, ref: RunRef, group: NodeGroupSpec) -> KubernetesNodeGroup:
        """Submit the job, wait for the pods, and send the nodes their inputs.

        Raises:
            TrainstackError: The cluster refuses, does not answer, or does not schedule the pods in time.
        """
        if group.runtime.image is None:
            raise TrainstackError("a run on Kubernetes needs its environment as an image")
        api = self._api
        plan = read_plan(ref.root / "launch.json")
        job_kind = self._job_kind(plan.distribution)
        job_kind.submit(ref, group, grace=plan.grace_seconds, low_priority=self._low_priority)
        pods = Pods(api, _attempt(ref, group.attempt)).follow()
        log = MergedLog(ref.root, group.node_count)
        try:
            log.begin()
            transfer = self._transfer(ref)
            transfer.begin(group)
            nodes = self._group(
                ref, transfer, job_kind, group.attempt, pods, group.node_count, group.runtime.python, log
            )
            pending = PendingReason(api, lambda: job_kind.find(_attempt(ref, group.attempt)), job_kind.suspend_reason)
            hand_over = [sync_client.hand_over for sync_client in nodes.sync_clients]
            sending = wait_ready.sending(pods, group, job_kind.launcher)
            wait_ready.wait(pods, pending, group, self._config, hand_over, lambda: sending("code and data"))
            job_kind.annotate(ref, labels.INPUTS_SENT, " ".join(pods.uids()))
            _run_all([*map(self._env_sender(group), nodes.nodes)], lambda: sending("variables"))
            job_kind.annotate(ref, labels.ENV_SENT)
        except BaseException as exc:
            pods.close()
            if isinstance(exc, TrainstackError) and (reason := self._preempted(ref)):
                raise PreemptedError(f"its place was taken: {reason}") from exc
            raise
        for sync_client in nodes.sync_clients:
            sync_client.start()
        return nodes

    def attach(self, ref: RunRef, attempt: int, node_count: int) -> KubernetesNodeGroup | None:
        """Take over the pods of an attempt.

        Returns:
            The nodes, when every node has what it needs and runs, or its agent has come to an end of its own.
        """
        job_kind, job = self._find_job(ref)
        if job is None or labels.ENV_SENT not in part(job, "metadata", "annotations"):
            return None
        if job["metadata"]["labels"].get(labels.ATTEMPT) != str(attempt):
            return None
        pods = Pods(self._api, _attempt(ref, attempt), _pod_uids(job))
        if not all(_is_intact(pods.get(index)) and not pods.gone(index) for index in range(node_count)):
            return None
        log = MergedLog(ref.root, node_count)
        log.resume()
        python = _python(job_kind, job)
        group = self._group(
            ref, self._transfer(ref, begun=True), job_kind, attempt, pods.follow(), node_count, python, log
        )
        for sync_client in group.sync_clients:
            sync_client.start()
        return group

    def node(self, ref: RunRef, index: int) -> KubernetesNode | None:
        """The pod of a node, when it runs."""
        job_kind, job = self._find_job(ref)
        if job is None:
            return None
        pods = Pods(self._api, labels.of_nodes(ref), _pod_uids(job))
        pod = pods.get(index)
        if pod is None or pods.gone(index) or not running(pod):
            return None
        exit_code_file = ref.root / run_objects.ended(_number(job), index)
        return KubernetesNode(self._api, pods.follow(), index, _python(job_kind, job), exit_code_file)

    def collect_outputs(self, ref: RunRef) -> None:
        """End the nodes, and fetch the outputs that nobody has fetched.

        Raises:
            TrainstackError: The cluster does not answer, or some outputs cannot be fetched.
        """
        job_kind, job = self._find_job(ref)
        transfer = self._transfer(ref, begun=True)
        if job is None and transfer.may_have_outputs:
            log = MergedLog(ref.root, len(read_plan(ref.root / "launch.json").nodes))
            log.resume()
            transfer.wait_synced(None, None, log.grown)
            log.end()
            transfer.release()
        annotations = part(job, "metadata", "annotations")
        if job is None or labels.OUTPUTS_SYNCED in annotations or labels.INPUTS_SENT not in annotations:
            return
        count = job_kind.count(job)
        pods = Pods(self._api, labels.of_nodes(ref), _pod_uids(job)).follow()
        log = MergedLog(ref.root, count)
        log.resume()
        group = self._group(ref, transfer, job_kind, _number(job), pods, count, _python(job_kind, job), log)
        try:
            alive = [node for node in group.nodes if node.pod and node.poll() is None]
            with ThreadPoolExecutor(max_workers=WORKERS) as pool:
                list(pool.map(KubernetesNode.kill, alive))
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
        removed = removal.remove(self._api, labels.of_run(ref))
        self._transfer(ref, begun=True).clear()
        return removed

    def unlisted(self, ref: RunRef) -> Orphan | None:
        """The claim that may have something of a run, though the cluster has no object of it."""
        claim = pvc_transfer.claim_of(ref)
        return Orphan(ref.id, "claim", claim) if claim else None

    def orphans(self, workspace: str) -> Sequence[Orphan]:
        """Jobs, services and pods of a workspace's runs.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        objects = removal.list_objects(self._api, f"{labels.WORKSPACE}={workspace}")
        return [Orphan(item.labels.get(labels.RUN, ""), item.kind, item.name) for item in objects]

    def _job_kind(self, distribution: Distribution) -> JobKind:
        """The kind of job that makes the pods of such a run."""
        by_mpi = self._config.engine == "mpijob" and isinstance(distribution, Horovod)
        return MpiJob(self._api) if by_mpi else IndexedJob(self._api)

    def _find_job(self, ref: RunRef) -> tuple[JobKind, Manifest | None]:
        """The kind of a run's job, and the job; none when there is none."""
        selector = labels.of_nodes(ref)
        if self._config.engine == "mpijob":
            job_kind = MpiJob(self._api)
            if mpijob := job_kind.find(selector):
                return job_kind, mpijob
        job_kind = IndexedJob(self._api)
        return job_kind, job_kind.find(selector)

    def _transfer(self, ref: RunRef, *, begun: bool = False) -> FileTransfer:
        """How a run's files are transferred; a run that has begun stays with what it began with."""
        claim = (pvc_transfer.claim_of(ref) if begun else None) or self._config.store
        if claim:
            return pvc_transfer.PvcTransfer(self._api, claim, ref)
        return ObjectStoreTransfer(self._store, ref) if self._store else ExecTransfer(ref)

    def _group(
        self,
        ref: RunRef,
        transfer: FileTransfer,
        job_kind: JobKind,
        attempt: int,
        pods: Pods,
        count: int,
        python: str,
        log: MergedLog,
    ) -> KubernetesNodeGroup:
        api = self._api
        nodes = [
            KubernetesNode(api, pods, index, python, ref.root / run_objects.ended(attempt, index))
            for index in range(count)
        ]
        sync_clients = [SyncClient(api, ref, node, log.grown, transfer) for node in nodes]

        def on_synced() -> None:
            living = next((node for node in nodes if node.pod and not node.lost and not node.leaving), None)
            transfer.wait_synced(
                [index for index, sync_client in enumerate(sync_clients) if sync_client.cut_off], living, log.grown
            )
            log.end()
            job_kind.annotate(ref, labels.OUTPUTS_SYNCED)

        return KubernetesNodeGroup(nodes, sync_clients, pods, on_synced, transfer.release, lambda: self._preempted(ref))

    def _preempted(self, ref: RunRef) -> str:
        """Why Kueue took the pods of a run away, in its own words; empty where it did not, or nobody knows."""
        if self._config.queue is None:
            return ""
        with contextlib.suppress(TrainstackError):
            _, job = self._find_job(ref)
            if job is not None:
                return kueue.evicted_words(kueue.workload_of(self._api, job, ANSWER_SECONDS))
        return ""

    def _env_sender(self, group: NodeGroupSpec) -> Callable[[KubernetesNode], Callable[[], Any]]:
        """Sends a node its variables, which no object of the cluster may hold."""
        line = json.dumps(group.variables).encode() + b"\n"
        command = [
            group.runtime.python,
            "-c",
            script("pass_env"),
            run_objects.FIFO,
            str(self._config.pending_deadline),
        ]
        return lambda node: lambda: run(self._api, node.pod, labels.NODE, command, [line])


def _run_all(calls: Sequence[Callable[[], Any]], waiting: Callable[[], None]) -> None:
    """Call all of them in parallel, and go on checking whether the run is to be stopped."""
    pool = ThreadPoolExecutor(max_workers=WORKERS)
    try:
        wait_ready.wait_for([pool.submit(call) for call in calls], waiting)
    finally:
        # Whoever wants it ended does not wait for what is under way: it breaks off with its pod.
        pool.shutdown(wait=False, cancel_futures=True)


def _attempt(ref: RunRef, attempt: int) -> str:
    return f"{labels.of_run(ref)},{labels.ATTEMPT}={attempt}"


def _python(job_kind: JobKind, job: Manifest) -> str:
    return str(job_kind.template(job)["containers"][0]["command"][0])


def _pod_uids(job: Manifest) -> list[str]:
    """The uids of the pods that have got their inputs."""
    return str(part(job, "metadata", "annotations").get(labels.INPUTS_SENT) or "").split()


def _number(job: Manifest) -> int:
    return int(job["metadata"]["labels"][labels.ATTEMPT])


def _is_intact(pod: Manifest | None) -> bool:
    """Whether a pod's node runs, or its agent has ended by itself, and its sidecar is there."""
    if pod is None or "running" not in state(pod, labels.SIDECAR) or pod["metadata"].get("deletionTimestamp"):
        return False
    node_state = state(pod, labels.NODE)
    if "running" in node_state:
        return True
    ended = part(node_state, "terminated")
    return ended.get("reason") != "OOMKilled" and exit_code(int(ended.get("exitCode", -1))) in _OWN_ENDS
