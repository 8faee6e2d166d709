"""Whether a queue can ever hold the pods of a run: its quota with what it may borrow, not what is left of it."""

from __future__ import annotations

from trainstack.errors import InvalidInputError
from trainstack.targets.base import Capacity
from trainstack.targets.kubernetes.api import kueue
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.checks.quota import exceeded
from trainstack.targets.kubernetes.config import KubernetesConfig

_limits: dict[tuple[str | None, str, str], dict[str, str] | None] = {}


def check(config: KubernetesConfig, holds: Capacity, nodes: int, seconds: float) -> None:
    """Refuse a run that its queue never admits.

    Args:
        config: The cluster, with the queue.
        holds: What a node holds.
        nodes: How many there are at once.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: There is no such queue, or says which resource is too small.
        TrainstackError: The cluster does not answer.
    """
    if config.queue is None:
        return
    limits = config.queue_limits
    if limits is None:
        key = config.context, config.namespace, config.queue
        if key not in _limits:
            _limits[key] = kueue.limits(KubernetesApi(config), config.queue, seconds)
        limits = _limits[key]
    try:
        excess = exceeded(limits or {}, holds, nodes)
    except ValueError as exc:
        raise InvalidInputError(f"kubernetes: queue {config.queue}: {exc}: write quantities like 16 or 64Gi") from exc
    if excess:
        raise InvalidInputError(
            f"kubernetes: {nodes} node{'s' * (nodes > 1)} ask{'s' * (nodes == 1)} for "
            f"{excess.format(f'queue {config.queue}')} with all that it may borrow: take fewer or smaller ones, or "
            "raise its quota",
            field="queue",
        )
