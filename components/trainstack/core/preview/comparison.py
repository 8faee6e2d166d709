"""What an update came to: the metrics of what serves now beside those of what served before, from two states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from trainstack.core.preview.document import Resource


@dataclass(frozen=True)
class MetricDelta:
    """One metric before and after; none where there is no value.

    Attributes:
        name: The metric.
        before: Its last value in the run that made the model before.
        after: Its last value in the run that made the model now.
    """

    name: str
    before: float | None
    after: float | None

    @property
    def delta(self) -> float | None:
        """After less before."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class ModelDelta:
    """A model before and after an update.

    Attributes:
        model: Its name.
        services: The services that serve it now.
        before: Its version before; none where there was none.
        after: Its version now.
        same_bytes: Whether its files are what they were.
        metrics: The metrics of the runs that made both.
    """

    model: str
    services: list[str]
    before: int | None
    after: int | None
    same_bytes: bool
    metrics: list[MetricDelta]


def compare(before: Sequence[Resource], after: Sequence[Resource]) -> list[ModelDelta]:
    """Compare two states of a stack.

    Args:
        before: The resources before the update.
        after: The resources after it.

    Returns:
        An entry a model that there is now.
    """
    old = {resource.name: resource for resource in before if resource.kind == "Model"}
    deltas: list[ModelDelta] = []
    for model in after:
        if model.kind != "Model":
            continue
        earlier = old.get(model.name)
        services = [
            resource.name
            for resource in after
            if resource.kind == "WebService" and resource.known.get("model_name") == model.name
        ]
        was, now = _metrics(before, earlier), _metrics(after, model)
        deltas.append(
            ModelDelta(
                model=model.name,
                services=services,
                before=_version(earlier),
                after=_version(model),
                same_bytes=earlier is not None and earlier.known.get("digest") == model.known.get("digest"),
                metrics=[MetricDelta(name, was.get(name), now.get(name)) for name in sorted(was.keys() | now.keys())],
            )
        )
    return deltas


def _version(model: Resource | None) -> int | None:
    version = model.known.get("version") if model else None
    return int(version) if isinstance(version, int | float) else None


def _metrics(state: Sequence[Resource], model: Resource | None) -> dict[str, float]:
    """Metrics of the run that a model is from; those that it brought along, where the run is in another stack."""
    if model is None:
        return {}
    run_id = model.known.get("run_id")
    for resource in state:
        if resource.kind == "TrainingRun" and run_id is not None and resource.known.get("run_id") == run_id:
            return _numbers(resource.known.get("metrics"))
    return _numbers(model.known.get("metrics"))


def _numbers(values: Any) -> dict[str, float]:
    mapping: Mapping[str, Any] = cast("Mapping[str, Any]", values) if isinstance(values, Mapping) else {}
    return {name: float(value) for name, value in mapping.items() if isinstance(value, int | float)}
