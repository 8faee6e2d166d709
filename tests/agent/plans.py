"""Launch plans for tests that start nothing."""

from typing import Any

from trainstack.agent.plan import Distribution, LaunchPlan, ports_needed


def plan(distribution: Distribution, node_count: int = 1, **options: Any) -> LaunchPlan:
    """Make a plan on so many nodes; `options` are its other fields."""
    options.setdefault("nodes", ("127.0.0.1",) * node_count)
    options.setdefault("ports", tuple(range(5000, 5000 + ports_needed(distribution, node_count))))
    return LaunchPlan(
        distribution=distribution,
        script="train.py",
        code="/run/code",
        outputs="/run/outputs",
        reports="/run/nodes",
        **options,
    )
