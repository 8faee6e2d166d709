"""From what a compute says to the target that it means; a target's package is loaded when it is meant."""

from __future__ import annotations

from typing import Literal

from trainstack.targets.base import Target
from trainstack.targets.kubernetes.config import Cluster

Kind = Literal["local", "docker", "kubernetes"]


def open_target(
    kind: Kind,
    *,
    docker_host: str | None = None,
    cluster: Cluster | None = None,
    low_priority: bool = False,
    object_store: str | None = None,
) -> Target:
    """Make a target. It reaches nobody yet.

    Args:
        kind: Its name in a program.
        docker_host: The engine's address, for `docker`.
        cluster: Which cluster, for `kubernetes`; the current context's when left out.
        low_priority: Whether nodes may be machines that can be taken away.
        object_store: The bucket that code, data and outputs of pods pass through, for `kubernetes`.
    """
    if kind == "docker":
        from trainstack.targets.docker.target import DockerTarget

        return DockerTarget(docker_host)
    if kind == "kubernetes":
        from trainstack.storage.object_store import ObjectStore
        from trainstack.targets.kubernetes.target import KubernetesTarget

        store = ObjectStore(object_store) if object_store else None
        return KubernetesTarget(cluster or Cluster(), low_priority=low_priority, store=store)
    from trainstack.targets.local.target import LocalTarget

    return LocalTarget()
