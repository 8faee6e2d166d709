"""What runs the pods of a run on a cluster: an Indexed Job, or an MPIJob. Each is one object of the API server."""

from __future__ import annotations

from typing import Protocol

from trainstack.targets.base import NodeGroupSpec, RunRef
from trainstack.targets.kubernetes.manifest import Manifest


class JobKind(Protocol):
    """A kind of object that makes the pods of a run."""

    @property
    def launcher(self) -> str | None:
        """The container of a pod beside the nodes' without which these do not begin; none where there is no such."""
        ...

    def submit(self, ref: RunRef, group: NodeGroupSpec, *, grace: float, low_priority: bool) -> None:
        """Make the object of an attempt, and what must be there with it.

        Args:
            ref: The run.
            group: Its nodes.
            grace: Seconds that a script has for a checkpoint when its node is taken away.
            low_priority: Whether nodes may be machines that can be taken away.

        Raises:
            TrainstackError: The cluster refuses or does not answer.
        """
        ...

    def host(self, ref: RunRef, index: int) -> str:
        """What the nodes of a run call node number `index`."""
        ...

    def find(self, selector: str) -> Manifest | None:
        """The object that bears `selector`, as the API server has it.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        ...

    def annotate(self, ref: RunRef, key: str, value: str = "true") -> None:
        """Note on a run's object how far it is.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        ...

    def count(self, job: Manifest) -> int:
        """How many nodes an object has."""
        ...

    def template(self, job: Manifest) -> Manifest:
        """The specification of its nodes' pods."""
        ...

    def suspend_reason(self, job: Manifest) -> str:
        """Why it makes no pods by itself: a queue, or somebody, holds it back. Empty where it should."""
        ...
