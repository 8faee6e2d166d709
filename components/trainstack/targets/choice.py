"""From what a compute says to the target that it means; a target's package is loaded when it is meant."""

from __future__ import annotations

from typing import Literal

from trainstack.targets import Target
from trainstack.targets.kubernetes.cluster import Cluster

Kind = Literal["local", "docker", "kubernetes"]


def open_target(
    kind: Kind, *, docker_host: str | None = None, cluster: Cluster | None = None, low_priority: bool = False
) -> Target:
    """Make a target. It reaches nobody yet.

    Args:
        kind: Its name in a program.
        docker_host: The engine's address, for `docker`.
        cluster: Which cluster, for `kubernetes`; the current context's when left out.
        low_priority: Whether nodes may be machines that can be taken away.
    """
    if kind == "docker":
        from trainstack.targets.docker.target import DockerTarget

        return DockerTarget(docker_host)
    if kind == "kubernetes":
        from trainstack.targets.kubernetes.target import KubernetesTarget

        return KubernetesTarget(cluster or Cluster(), low_priority=low_priority)
    from trainstack.targets.local.target import LocalTarget

    return LocalTarget()
