"""Which strategy a plan's distribution takes."""

from __future__ import annotations

from ..distribution import Horovod, TensorFlow
from ..plan import LaunchPlan
from .horovod import HorovodStrategy
from .strategy import Strategy
from .tensorflow import TensorFlowStrategy


def strategy_for(plan: LaunchPlan, node: int) -> Strategy:
    """Return the strategy of `plan`'s distribution.

    Args:
        plan: What is launched.
        node: The node's number.
    """
    if isinstance(plan.distribution, Horovod) and not plan.distribution.elastic:
        return HorovodStrategy(plan, node, plan.distribution)
    if isinstance(plan.distribution, TensorFlow):
        return TensorFlowStrategy(plan, node)
    return Strategy(plan, node)
