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
from trainstack.targets.kubernetes.pods import Pods, pending_reason, running

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
    hand_over: Callable[[int], None],
) -> None:
    """Wait for every pod, and send its inputs to each as soon as it runs.

    Args:
        pods: The watch.
        job_pending: What is said of a job without pods.
        group: Its nodes.
        config: How long they may wait.
        hand_over: Sends the inputs to the pod of that number.

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
                    handovers[index] = pool.submit(hand_over, index)
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
        wait_for(list(handovers.values()), lambda: group.waiting("code and data are being sent"))
    finally:
        job_pending.close()
        # Whoever wants it ended does not wait for what is under way: it breaks off with its pod.
        pool.shutdown(wait=False, cancel_futures=True)


def wait_for(futures: Sequence[Future[Any]], waiting: Callable[[], None]) -> None:
    """Wait for all of them.

    Args:
        futures: What is being done.
        waiting: Called all the time; may raise to end the wait.

    Raises:
        TrainstackError: One has failed.
    """
    while not all(future.done() for future in futures):
        waiting()
        time.sleep(_HANDING_TICK)
    for future in futures:
        future.result()
