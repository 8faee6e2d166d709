"""From what a compute says to the target that it means; a target's package is loaded when it is meant."""

from __future__ import annotations

from typing import Literal

from trainstack.targets import Target

Kind = Literal["local", "docker"]


def open_target(kind: Kind, *, docker_host: str | None = None) -> Target:
    """Make a target. It reaches nobody yet.

    Args:
        kind: Its name in a program.
        docker_host: The engine's address, for `docker`.
    """
    if kind == "docker":
        from trainstack.targets.docker.target import DockerTarget

        return DockerTarget(docker_host)
    from trainstack.targets.local.target import LocalTarget

    return LocalTarget()
