"""A workspace's tracking server on a cluster: what is declared there is waited for, and asked how it does.

The objects themselves are declared by the component; here nothing of them is made or removed.
"""

from __future__ import annotations

from collections.abc import Callable

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes import rollout
from trainstack.targets.kubernetes.api.client import Access
from trainstack.targets.kubernetes.config import Cluster
from trainstack.targets.kubernetes.objects.tracking_objects import REVISION


def await_answering(cluster: Cluster, name: str, revision: str, progress: Callable[[str], None]) -> None:
    """Wait until a server's pod answers, as long as the cluster's pods may be pending.

    Args:
        cluster: Where it is.
        name: What its objects are called.
        revision: Which pod is meant.
        progress: Told what is waited for, in the cluster's own words.

    Raises:
        TrainstackError: It does not come to it, or the cluster does not answer.
    """
    try:
        rollout.await_deployment(
            Access(cluster), name, revision, cluster.pending_deadline, progress, mark=REVISION, what="answer"
        )
    except TrainstackError as exc:
        raise TrainstackError(f"tracking server {name}: {exc}") from exc


def drift(cluster: Cluster, name: str, revision: str) -> str | None:
    """Say in a few words that a server is not as it was declared; none when it is.

    Args:
        cluster: Where it is.
        name: What its objects are called.
        revision: Which pod is meant.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    found = rollout.deployment(Access(cluster), name, REVISION)
    if found is None:
        return "its Deployment is gone"
    if found.digest != revision:
        return "its Deployment is another"
    return None
