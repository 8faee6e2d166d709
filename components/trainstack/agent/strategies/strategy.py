"""How each distribution is set up on a node: what is prepared, which command and variables each task gets."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..coordination.coordination import Coordination
from ..coordination.coordinator import Coordinator
from ..coordination.member import Member
from ..plan import LaunchPlan
from ..ranks.tasks import Task
from ..ranks.wakeup import Wakeup


class Strategy:
    """One process that runs the script; the other distributions extend this."""

    def __init__(self, plan: LaunchPlan, node: int) -> None:
        """Set up node `node` of `plan`."""
        self._plan = plan
        self._node = node

    def coordination(self, wakeup: Wakeup) -> Coordination:
        """Return this node's side of the agreement with the other nodes."""
        if len(self._plan.nodes) == 1:
            return Coordination(wakeup)
        if self._node == 0:
            return Coordinator(wakeup, self._plan)
        return Member(wakeup, self._plan, self._node)

    def prepare(self) -> None:
        """Prepare before the nodes meet.

        Raises:
            LaunchError: The preparation fails.
        """

    def ready(self) -> None:
        """Prepare once all nodes have met, before any rank starts.

        Raises:
            LaunchError: The preparation fails.
        """

    def command(self, task: Task) -> Sequence[str]:
        """Return program and arguments of a task."""
        program = [self._plan.script] if self._plan.script else ["-m", self._plan.module]
        return [sys.executable, "-u", *program, *self._plan.argv]

    def variables(self, task: Task) -> dict[str, str]:
        """Return the environment variables that the distribution gives to a task."""
        return {}

    def close(self) -> None:
        """Undo `prepare`."""
