"""What a run's nodes come to: how long they are held, over all attempts, and what that costs.

A node counts from when all of its run's nodes work until they have ended. Prices are those of the compute.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.compute.prices import Prices
from trainstack.core.runs import distribution
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.runs.request import RunRequest
from trainstack.errors import InvalidInputError, TrainstackError


@dataclass(frozen=True)
class RunCost:
    """What a run has come to.

    Attributes:
        node_seconds: Seconds that its nodes were held, added up over nodes and attempts.
        amount: What that costs; none where a node has no price.
        currency: What the amount is in.
        low: Whether the nodes were of low priority.
    """

    node_seconds: float
    amount: float | None
    currency: str
    low: bool

    def __str__(self) -> str:
        """It for people: `0.90 USD`; empty without a price."""
        return "" if self.amount is None else money(self.amount, self.currency)


def money(amount: float, currency: str) -> str:
    """A sum for people: `0.02 USD`, `under 0.01 USD`."""
    return f"under 0.01 {currency}" if 0 < amount < 0.01 else f"{amount:.2f} {currency}"


def hourly(compute: ComputeSpec) -> float | None:
    """What a node of a compute costs an hour; none where it has no price, or its size is no longer known."""
    try:
        return Prices().hourly(compute.model_dump())
    except InvalidInputError:
        return None


def amount(compute: ComputeSpec, node_seconds: float) -> float | None:
    """What so many seconds of a compute's nodes cost; none where a node has no price."""
    price = hourly(compute)
    return None if price is None else node_seconds / 3600 * price


def so_far(record: RunRecord, request: RunRequest) -> RunCost:
    """What a run has come to until now, or came to."""
    low, currency = request.compute.priority == "low", request.compute.currency
    if record.status.ended and record.node_seconds is not None:
        return RunCost(record.node_seconds, record.cost, record.currency or currency, low)
    seconds = attempts_seconds(record, request)
    return RunCost(seconds, amount(request.compute, seconds), currency, low)


def attempts_seconds(record: RunRecord, request: RunRequest) -> float:
    """Seconds that nodes were held by all attempts up to the current one."""
    _, nodes = distribution.parse(request.spec.distribution)
    until = record.updated if record.status.ended or record.supervisor is None else time.time()
    running = [stage for stage in record.stages if stage.name is Status.RUNNING]
    held = sum(max(0.0, (until if stage.ended is None else stage.ended) - stage.started) for stage in running)
    return record.earlier_node_seconds + held * nodes


def seconds_left(record: RunRecord, request: RunRequest) -> float | None:
    """How long a new attempt may run by the run's `max_cost`; none for no limit.

    Raises:
        TrainstackError: All of it is spent.
    """
    price = hourly(request.compute)
    if request.max_cost is None or not price:
        return None
    _, nodes = distribution.parse(request.spec.distribution)
    left = request.max_cost / price * 3600 - record.earlier_node_seconds
    if left <= 0:
        raise TrainstackError(over(request))
    return left / nodes


def over(request: RunRequest) -> str:
    """Why a run ends whose `max_cost` is spent."""
    limit = money(request.max_cost or 0.0, request.compute.currency)
    return f"stopped as it has cost its max_cost of {limit}: raise `max_cost` to go on from what it has saved"


def check_priced(compute: ComputeSpec, field: str) -> None:
    """Refuse a limit on what nothing has a price for.

    Raises:
        InvalidInputError: Says how to give one.
    """
    if hourly(compute) is None:
        name = compute.vm_size or compute.target
        raise InvalidInputError(
            f"{field}: nobody knows what a node of compute {compute.name!r} costs: set trainstack:prices "
            f"({{{name}: 0.5}} an hour) in the stack's configuration, or ts.Node(price=…)",
            field=field,
        )
