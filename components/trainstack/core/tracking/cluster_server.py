"""A workspace's tracking server on a cluster: wait for it, and check whether it has drifted.

The component declares its objects; nothing here makes or removes any.
"""

from __future__ import annotations

from collections.abc import Callable

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes import rollout
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects.tracking_objects import REVISION


def await_answering(cluster: KubernetesConfig, name: str, revision: str, progress: Callable[[str], None]) -> None:
    """Wait until a server's pod answers, as long as the cluster's pods may be pending.

    Args:
        cluster: The cluster.
        name: The name of its objects.
        revision: The revision of its pod.
        progress: Called with what it waits for, in the cluster's own words.

    Raises:
        TrainstackError: No pod answers in time, or the cluster does not answer.
    """
    try:
        rollout.await_deployment(
            KubernetesApi(cluster),
            name,
            revision,
            cluster.pending_deadline,
            progress,
            annotation=REVISION,
            goal="answer",
        )
    except TrainstackError as exc:
        raise TrainstackError(f"tracking server {name}: {exc}") from exc


def drift(cluster: KubernetesConfig, name: str, revision: str) -> str | None:
    """Return how a server differs from its declaration, or None.

    Args:
        cluster: The cluster.
        name: The name of its objects.
        revision: The revision of its pod.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    deployment = rollout.deployment(KubernetesApi(cluster), name, REVISION)
    if deployment is None:
        return "its Deployment is gone"
    if deployment.digest != revision:
        return "its Deployment is another"
    return None
