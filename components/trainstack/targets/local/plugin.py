"""The registration of the target `local`."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    def describe(self, spec: ComputeSpec) -> str:
        """Name this machine."""
        return "this machine"
