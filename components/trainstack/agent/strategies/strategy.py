"""How each distribution is set up on a node: what is prepared, which command and variables each task gets."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..coordination.coordination import Coordination
from ..coordination.coordinator import Leader
from ..coordination.member import Follower
from ..plan import Horovod, LaunchPlan, TensorFlow
from ..ranks.tasks import Task
from ..ranks.wakeup import Wakeup


class Recipe:
    """One process that runs the script; the other distributions extend this."""

    def __init__(self, plan: LaunchPlan, node: int) -> None:
        """Set up node number `node` of `plan`."""
        self._plan = plan
        self._node = node

    def coordination(self, wakeup: Wakeup) -> Coordination:
        """Return what this node agrees with the others through."""
        if len(self._plan.nodes) == 1:
            return Coordination(wakeup)
        if self._node == 0:
            return Leader(wakeup, self._plan)
        return Follower(wakeup, self._plan, self._node)

    def prepare(self) -> None:
        """Do what must be done before the nodes meet.

        Raises:
            LaunchError: It cannot be done.
        """

    def ready(self) -> None:
        """Do what can be done once all nodes have met, before any rank starts.

        Raises:
            LaunchError: It cannot be done.
        """

    def command(self, task: Task) -> Sequence[str]:
        """Return program and arguments of a task."""
        return [sys.executable, "-u", self._plan.script, *self._plan.argv]

    def variables(self, task: Task) -> dict[str, str]:
        """Return the environment variables that the distribution gives to a task."""
        return {}

    def close(self) -> None:
        """Undo `prepare`."""


def recipe_for(plan: LaunchPlan, node: int) -> Recipe:
    """Return the recipe of `plan`'s distribution.

    Args:
        plan: What is launched.
        node: The node's number.
    """
    if isinstance(plan.distribution, Horovod) and not plan.distribution.elastic:
        from .horovod import HorovodRecipe

        return HorovodRecipe(plan, node, plan.distribution)
    if isinstance(plan.distribution, TensorFlow):
        from .tensorflow import TensorFlowRecipe

        return TensorFlowRecipe(plan, node)
    return Recipe(plan, node)
