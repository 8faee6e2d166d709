"""What a target is to the rest of Trainstack: its name, its capabilities, its config model and how it is opened.

Every folder of `trainstack.targets` that is a target has a `plugin.py` with a `TargetPlugin` of its own, and
`trainstack.targets.registry` finds it by the target's name. Code outside `trainstack.targets` asks for capabilities and
never for names. `docs/contributing/add-a-target.md` tells how to add one.

A program that only declares resources loads this module: models, clients and components are named as `module:Class`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from trainstack.errors import InvalidInputError

if TYPE_CHECKING:
    from trainstack.targets.base import Capacity, DriverHost, Target
    from trainstack.targets.compute_spec import ComputeSpec

LocationKey: TypeAlias = tuple[str, str | None, str]
"""A target, which one of its kind, and where in it."""


@dataclass(frozen=True)
class Capabilities:
    """What code outside `trainstack.targets` may ask of a target.

    Attributes:
        uses_images: Environments are container images there, and not folders of this machine.
        needs_registry: Nodes pull these images from a registry; else they take what the Docker engine has.
        elastic_capacity: It grows as needed, so a compute says with `vm_size` what a node holds.
        remote: It is asked over a network or a socket, so that an answer may be slow or missing.
        same_machine: Nodes and servers are processes of this machine: its ports, files and addresses are theirs.
    """

    uses_images: bool = False
    needs_registry: bool = False
    elastic_capacity: bool = False
    remote: bool = False
    same_machine: bool = False


class TargetChecks:
    """What preview asks of a target beyond its options; a target without such limits leaves them as they are."""

    def check_size(self, spec: ComputeSpec, node: Callable[[], Capacity]) -> None:
        """Refuse more nodes than the compute's own limits ever hold. Connects to nothing.

        Args:
            spec: The compute.
            node: Returns what one node holds.

        Raises:
            InvalidInputError: Says which limit.
        """

    def check_compute(self, spec: ComputeSpec, node: Callable[[], Capacity], seconds: float) -> None:
        """Ask the target whether what a compute relies on exists there.

        Args:
            spec: The compute.
            node: Returns what one node holds.
            seconds: How long to wait for an answer.

        Raises:
            InvalidInputError: Something is missing or never holds one node.
            TrainstackError: The target does not answer.
        """

    def check_run(self, spec: ComputeSpec, node: Callable[[], Capacity], node_count: int, seconds: float) -> None:
        """Ask the target whether it ever holds the nodes of a run; arguments and errors as for `check_compute`."""

    def check_private_network(self) -> None:
        """Refuse processes that nobody else may reach, where the place cannot see to that.

        Raises:
            InvalidInputError: Says why not.
        """


class TargetPlugin(TargetChecks, ABC):
    """The registration of a target.

    Attributes:
        name: Its name in a program, `ComputeArgs(target=…)`.
        capabilities: What code outside asks it for.
        config: `module:Class` of the `TargetConfig` that only its computes have.
        serving: `module:Class` of the `ServingOptions` of web services there.
        service_runner: `module:Class` of its `trainstack.core.services.runner.ServiceRunner`; empty where it serves
            nothing.
        compute_component: `module:Class` of what a `Compute` declares there as Pulumi resources; empty for nothing.
        service_component: The same for a `WebService`.
        variables: Which of the submitting shell's variables a supervisor needs to reach it, credentials among them, as
            `trainstack.process_environment` writes them. No script gets them.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    config: ClassVar[str] = "trainstack.targets.config:TargetConfig"
    serving: ClassVar[str] = "trainstack.targets.config:ServingOptions"
    service_runner: ClassVar[str] = ""
    compute_component: ClassVar[str] = ""
    service_component: ClassVar[str] = ""
    variables: ClassVar[tuple[str, ...]] = ()

    @property
    def serves(self) -> bool:
        """Whether web services can run there."""
        return bool(self.service_runner)

    @abstractmethod
    def open(self, spec: ComputeSpec) -> Target:
        """Return the target that a compute means. This connects to nothing yet."""

    def drives_runs(self, _spec: ComputeSpec) -> bool:
        """Whether runs of a compute are driven at its place, and not by the machine that submits them."""
        return False

    def driver_host(self, _spec: ComputeSpec) -> DriverHost:
        """Return what drives runs of a compute at its place, where `drives_runs` says so."""
        raise TypeError(f"target {self.name} drives no runs")

    def location(self, spec: ComputeSpec) -> LocationKey:
        """Return what tells where a compute is from where others are, whatever their sizes."""
        return spec.target, None, ""

    def describe(self, spec: ComputeSpec) -> str:
        """Name, for messages, what holds the nodes of a compute."""
        return f"target {spec.target}"

    def check(self, spec: ComputeSpec) -> None:
        """Refuse options that do not go together. Connects to nothing.

        Raises:
            InvalidInputError: Names the option.
        """
        if spec.docker_host and not self.capabilities.uses_images:
            raise InvalidInputError(f"docker_host is for target 'docker', not {self.name!r}", field="docker_host")
