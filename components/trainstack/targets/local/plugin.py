"""The registration of the target `local`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainstack.errors import InvalidInputError
from trainstack.targets.plugin import Capabilities, TargetPlugin

if TYPE_CHECKING:
    from trainstack.targets.base import Target
    from trainstack.targets.compute_spec import ComputeSpec


class LocalPlugin(TargetPlugin):
    """This machine: a process group a node."""

    name = "local"
    capabilities = Capabilities(same_machine=True)
    service_runner = "trainstack.core.services.runners.process:ProcessRunner"

    def open(self, spec: ComputeSpec) -> Target:
        """Return this machine."""
        from trainstack.targets.local.target import LocalTarget  # preview needs no target

        return LocalTarget()

    def check_private_network(self) -> None:
        """Try whether network namespaces can be had."""
        from trainstack.targets.local import private_network  # few runs need one

        if problem := private_network.problem():
            raise InvalidInputError(
                "TensorFlow's servers listen on all addresses of this machine without a login, and "
                f"a network of their own cannot be had: {problem}. "
                "Take target='docker', or allow_network=True where nobody reaches them",
                field="allow_network",
            )

    def describe(self, spec: ComputeSpec) -> str:
        """Name this machine."""
        return "this machine"
