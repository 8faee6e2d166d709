"""The space that a sweep searches: its parameters, and which of them apply when."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from trainstack.core.runs.arguments import scalar
from trainstack.errors import InvalidInputError

Value = str | int | float | bool
Choices = dict[str, Value]
_TOLERANCE = 1e-9


class Parameter(BaseModel):
    """One parameter.

    Attributes:
        kind: `choice` of values, `uniform` or `log_uniform` numbers, or `integer`.
        values: What a choice chooses from.
        low: The least number.
        high: The greatest number.
        step: The distance of numbers; any number in between when left out.
        log: Whether integers are spread by their logarithm.
        when: Another parameter to those of its values under which this one applies; always when left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["choice", "uniform", "log_uniform", "integer"]
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    when: dict[str, tuple[Value, ...]] = {}

    @model_validator(mode="after")
    def _check(self) -> Parameter:
        if self.kind == "choice":
            if not self.values:
                raise ValueError("a choice needs values")
            if len({scalar(value, "") for value in self.values}) < len(self.values):
                raise ValueError("a choice has a value twice")
            return self
        low, high = self.low, self.high
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError("low and high must be numbers, low not above high")
        if (self.kind == "log_uniform" or self.log) and low <= 0:
            raise ValueError("low must be over 0 for a logarithm")
        if self.kind == "integer" and not (low == int(low) and high == int(high)):
            raise ValueError("low and high of integers must be whole")
        if self.step is not None and self.step <= 0:
            raise ValueError("step must be over 0")
        if self.step is not None and (self.kind == "log_uniform" or self.log):
            raise ValueError("step and logarithm do not go together")
        return self

    def applies(self, chosen: Mapping[str, Value]) -> bool:
        """Whether it applies beside what was chosen for the others."""
        return all(
            name in chosen and scalar(chosen[name], name) in {scalar(value, name) for value in values}
            for name, values in self.when.items()
        )

    def parsed(self, text: str) -> Value | None:
        """The value that an argument's text stands for; none where it is outside of the space."""
        if self.kind == "choice":
            return next((value for value in self.values if scalar(value, "") == text), None)
        try:
            number = float(text)
        except ValueError:
            return None
        low, high = self.low or 0.0, self.high or 0.0
        if not low <= number <= high:
            return None
        if self.kind == "integer" and number != int(number):
            return None
        step = self.step or (1 if self.kind == "integer" and not self.log else None)
        if step and abs((number - low) / step - round((number - low) / step)) > _TOLERANCE:
            return None
        return int(number) if self.kind == "integer" else number

    @property
    def is_finite(self) -> bool:
        """Whether its values come to an end."""
        return self.kind in ("choice", "integer") or self.step is not None or self.low == self.high

    def grid(self) -> Iterator[Value]:
        """Yield all values, of a finite parameter; there may be very many."""
        if self.kind == "choice":
            yield from self.values
            return
        low, high = self.low or 0.0, self.high or 0.0
        if self.kind == "integer":
            yield from range(int(low), int(high) + 1, int(self.step or 1))
            return
        step = self.step or 1.0
        yield from (low + step * number for number in range(int((high - low) / step + _TOLERANCE) + 1))


class Space(BaseModel):
    """Parameters by name, as arguments name them."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    parameters: dict[str, Parameter]

    @model_validator(mode="after")
    def _check(self) -> Space:
        if not self.parameters:
            raise ValueError("space is empty: give it a parameter")
        self.ordered()
        return self

    def ordered(self) -> list[tuple[str, Parameter]]:
        """The parameters, each after those that it depends on.

        Raises:
            InvalidInputError: One depends on a parameter that is not there, or on itself.
        """
        ordered: dict[str, Parameter] = {}
        remaining = dict(self.parameters)
        while remaining:
            ready = [name for name, parameter in remaining.items() if parameter.when.keys() <= ordered.keys()]
            if not ready:
                name, parameter = next(iter(remaining.items()))
                other = next(name for name in parameter.when if name not in ordered)
                why = "depends on itself" if other in remaining else f"depends on {other}, which is not in the space"
                raise InvalidInputError(f"space: {name} {why}", field="space")
            for name in ready:
                ordered[name] = remaining.pop(name)
        return list(ordered.items())

    def grid(self) -> Iterator[Choices]:
        """Every combination, without those that differ only in what does not apply.

        Raises:
            InvalidInputError: A parameter has infinitely many values.
        """
        if endless := next((name for name, parameter in self.ordered() if not parameter.is_finite), None):
            raise InvalidInputError(f"space: {endless} has no end of values for a grid: give it a step", field="space")
        yield from self.combinations()

    def combinations(self) -> Iterator[Choices]:
        """Yield every combination of finite parameters; others are left out, for a sampler to choose."""
        return _combinations(self.ordered(), {})

    def is_endless(self, chosen: Choices) -> bool:
        """Whether a combination leaves a parameter that applies to a sampler: then there is no end of its trials."""
        return any(parameter.applies(chosen) and name not in chosen for name, parameter in self.ordered())

    def count(self, most: int) -> int:
        """How many combinations there are; `most` where there are more, or no end of them."""
        if not all(parameter.is_finite for parameter in self.parameters.values()):
            return most
        return sum(1 for _ in itertools.islice(self.combinations(), most))

    def parsed(self, arguments: Mapping[str, Any]) -> Choices | None:
        """What would have to be chosen for arguments to come out so; none where the space does not hold that.

        Args:
            arguments: Canonical arguments without those that are fixed.
        """
        chosen: Choices = {}
        for name, parameter in self.ordered():
            if parameter.applies(chosen):
                text = arguments.get(name)
                value = parameter.parsed(text) if isinstance(text, str) else None
                if value is None:
                    return None
                chosen[name] = value
        return chosen if chosen.keys() == arguments.keys() else None


def _combinations(parameters: Sequence[tuple[str, Parameter]], chosen: Choices) -> Iterator[Choices]:
    """Yield what the parameters add to a choice, the last one's values first in turn."""
    if not parameters:
        yield dict(chosen)
        return
    (name, parameter), rest = parameters[0], parameters[1:]
    if not parameter.is_finite or not parameter.applies(chosen):
        yield from _combinations(rest, chosen)
        return
    for value in parameter.grid():
        yield from _combinations(rest, {**chosen, name: value})
