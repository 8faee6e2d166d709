"""From a submitted job to pods that have what they are given: wait, and say all the time what for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.targets.base import NodeGroupSpec
from trainstack.targets.kubernetes.checks.pending_reason import PendingReason
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.node_group import WORKERS
from trainstack.targets.kubernetes.pods import LAUNCHER_INDEX, Pods, pending_reason, running, state

_TICK = 0.5
"""Between two looks whether anybody wants it ended; news of a pod are heard at once."""
_HANDING_TICK = 0.05
_ASK_SECONDS = 2.0
# Registries have bad moments; what is still not pulled after several tries of the kubelet will not be.
_IMAGE_SECONDS = 60.0
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")


def wait(
    pods: Pods,
    job_pending: PendingReason,
    group: NodeGroupSpec,
    config: KubernetesConfig,
    hand_over: Sequence[Callable[[], None]],
    sending: Callable[[], None],
) -> None:
    """Wait for every pod, and send its inputs to each as soon as it runs.

    Args:
        pods: The watch.
        job_pending: What is said of a job without pods.
        group: Its nodes.
        config: How long they may wait.
        hand_over: Send its inputs to the pod of each number.
        sending: Called all the time once every pod runs, until all have their inputs; may raise to end the wait.

    Raises:
        TrainstackError: A pod cannot run, or none came to run in time; says why in the cluster's own words.
    """
    began = time.monotonic()
    unpulled_since: float | None = None
    handovers: dict[int, Future[None]] = {}
    pool = ThreadPoolExecutor(max_workers=WORKERS)
    try:
        while len(handovers) < group.node_count:
            missing: list[tuple[int, str, bool]] = []
            for index in range(group.node_count):
                pod = pods.get(index)
                if index in handovers:
                    continue
                if pods.gone(index):
                    missing.append((index, "its pod was deleted", True))
                elif pod is None:
                    missing.append((index, "", False))
                elif running(pod):
                    handovers[index] = pool.submit(hand_over[index])
                else:
                    missing.append((index, *pending_reason(pod)))
            if not missing:
                break
            # What has words of its own tells more than what has none.
            index, reason, hopeless = next((each for each in missing if each[2]), None) or max(
                missing, key=lambda each: (bool(each[1]), -each[0])
            )
            now = time.monotonic()
            if not reason:
                # Most pods are made at once.
                pending = job_pending.reason() if now - began > _ASK_SECONDS else ""
                reason = pending or "its pod is being made"
            unpulled_since = (unpulled_since or now) if reason.startswith(_NOT_PULLED) else None
            if hopeless or (unpulled_since and now - unpulled_since > _IMAGE_SECONDS):
                raise TrainstackError(f"node {index} cannot start: {reason}")
            if now - began > config.pending_deadline:
                raise TrainstackError(
                    f"node {index} did not start within {config.pending_deadline:g} s: {reason}; raise "
                    "`pending_deadline`, or take a smaller size"
                )
            group.waiting(f"node {index}: {reason}")
            pods.news(_TICK)
        wait_for(list(handovers.values()), sending)
    finally:
        job_pending.close()
        # Whoever wants it ended does not wait for what is under way: it breaks off with its pod.
        pool.shutdown(wait=False, cancel_futures=True)


def sending(pods: Pods, group: NodeGroupSpec, launcher: str | None) -> Callable[[str], None]:
    """Give what is told, all the time, what is being sent to nodes that all run.

    Args:
        pods: The watch.
        group: The nodes. They count as running as soon as the launcher runs too, where there is one.
        launcher: The launcher's container.
    """

    def tell(inputs: str) -> None:
        reason = _launcher_pending_reason(pods, launcher) if launcher else ""
        if not reason:
            group.all_running()
        group.waiting(reason or f"{inputs} are being sent")

    return tell


def _launcher_pending_reason(pods: Pods, container: str) -> str:
    """What the launcher waits for, whose pod is made when all nodes run; empty where it waits no more."""
    pod = pods.get(LAUNCHER_INDEX)
    if pod is None:
        return f"{container}: its pod is being made"
    # One that has ended waits for nothing: the nodes tell what became of it.
    if pods.gone(LAUNCHER_INDEX) or {"running", "terminated"} & state(pod, container).keys():
        return ""
    return f"{container}: {pending_reason(pod, [container])[0]}"


def wait_for(futures: Sequence[Future[Any]], waiting: Callable[[], None]) -> None:
    """Wait for all of them.

    Args:
        futures: What is being done.
        waiting: Called all the time, once at least; may raise to end the wait.

    Raises:
        TrainstackError: One has failed.
    """
    waiting()
    while not all(future.done() for future in futures):
        time.sleep(_HANDING_TICK)
        waiting()
    for future in futures:
        future.result()
