"""The budget of one update: estimates of its runs are added up as the engine validates each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainstack.core.compute.prices import Prices
from trainstack.core.preview.estimate import estimate, finished, last_measured, trials_left
from trainstack.policy.rules import Inputs, Settings
from trainstack.targets import registry


class BudgetSettings(Settings):
    """Settings of `budget`.

    Attributes:
        maximum: What all training of one update may cost; none for no limit.
        hours: How many node hours it may take; none for no limit.
        unmeasured: `refuse` a run that cannot be estimated, having neither a measured run of its name nor a timeout;
            or `allow` it.
    """

    maximum: float | None = Field(default=None, ge=0)
    hours: float | None = Field(default=None, ge=0)
    unmeasured: Literal["refuse", "allow"] = "refuse"


class Budget:
    """The rule `budget`; one for each process of the pack, as it keeps the estimates of the update so far.

    Args:
        config: The stack's configuration, which may hold own prices.
    """

    def __init__(self, config: Mapping[str, str]) -> None:
        self._config = config
        self._costs: dict[str, float] = {}
        self._hours: dict[str, float] = {}

    def __call__(self, urn: str, inputs: Inputs, settings: BudgetSettings, root: Path) -> Iterator[str]:
        """Add a run, or the trials that a sweep has left, and say when the sum is over the budget.

        Args:
            urn: The resource's URN; asked twice, it counts once.
            inputs: Its inputs.
            settings: The budget.
            root: The project's folder.
        """
        if (settings.maximum is None and settings.hours is None) or "source_directory" not in inputs:
            return
        self._costs.pop(urn, None)
        self._hours.pop(urn, None)
        trials = trials_left(inputs, root) if "space" in inputs else int(finished(inputs, root) is None)
        if not trials:
            return
        last = last_measured(inputs, root) or inputs.get("timeout")
        prices = Prices.from_config(self._config)
        training = estimate(inputs, float(last) if isinstance(last, int | float) else None, prices, trials)
        own = training.cost is None and _is_own(training.size)
        if training.seconds is None or (training.cost is None and not own):
            if settings.unmeasured == "refuse":
                yield (
                    "cannot be estimated: no run of its name was measured and it has no timeout: set timeout"
                    if training.seconds is None
                    else f"cannot be estimated: there is no price for {training.size}: set trainstack:prices"
                )
            return
        self._costs[urn] = training.cost or 0.0
        self._hours[urn] = training.node_hours or 0.0
        cost, hours = sum(self._costs.values()), sum(self._hours.values())
        of = "" if len(self._costs) == 1 else f" with the {len(self._costs) - 1} before it"
        if settings.maximum is not None and cost > settings.maximum:
            yield (
                f"training it would cost about {cost:.2f} {prices.currency}{of}, "
                f"over the budget of {settings.maximum:g} an update"
            )
        if settings.hours is not None and hours > settings.hours:
            yield f"training it would take about {hours:.1f} node hours{of}, over the budget of {settings.hours:g}"


def _is_own(size: str) -> bool:
    """Whether a size that is a target's name stands for a machine of one's own, which has no price."""
    return size in registry.names() and not registry.capabilities(size).elastic_capacity
