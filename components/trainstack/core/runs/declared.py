"""A run's spec from the properties that its resource holds: the same fingerprint wherever it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from trainstack.core.runs.fingerprint import RunEnvironment, RunSpec


def spec_of(properties: Mapping[str, Any], environment: RunEnvironment | None = None) -> RunSpec:
    """Compose what decides the result of a run; whole numbers are integers and all values known.

    Args:
        properties: A training run's completed inputs.
        environment: Its locked environment, where that is known better than the inputs say it.
    """
    given = cast("dict[str, Any]", properties.get("environment") or {})
    datasets = cast("dict[str, dict[str, Any]]", properties.get("datasets") or {})
    known = {name: given[name] for name in RunEnvironment.model_fields if name in given}
    return RunSpec(
        script=properties["script"],
        files=properties["files"],
        arguments=properties["arguments"],
        datasets={name: reference["digest"] for name, reference in datasets.items()},
        environment=environment or RunEnvironment.model_validate(known),
        environment_variables=properties.get("environment_variables") or {},
        secret_names=tuple(sorted(properties.get("secret_variables") or {})),
        distribution=properties["distribution"],
        trigger=properties.get("trigger") or "",
    )
