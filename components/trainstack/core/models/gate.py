"""What a run's metrics must be before its model is registered: `{"accuracy": ">= 0.97", "loss_vs": "< production"}`."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainstack.core.models import aliases, model
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import GateError, InvalidInputError, NotFoundError

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_BOUND = re.compile(r"\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
_RIVAL = re.compile(r"\s*(>=|<=|>|<)?\s*([A-Za-z][A-Za-z0-9_-]*)\s*")
_VERSUS = "_vs"


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        metric: The metric.
        sign: `>=`, `<=`, `>` or `<`.
        bound: What it is compared with, where that is a number.
        rival: The alias of the version that it is compared with, where that is one.
    """

    metric: str
    sign: str
    bound: float | None = None
    rival: str = ""

    def holds(self, value: float, bound: float) -> bool:
        """Whether a value is good enough; NaN never is."""
        return bool(_OPERATORS[self.sign](value, bound))


def parse(require: Mapping[str, str]) -> list[Condition]:
    """Read conditions.

    Args:
        require: A metric to a sign and a number, or a metric with `_vs` to an alias, with a sign before it where
            not `>=` is meant.

    Raises:
        InvalidInputError: One cannot be read; says which.
    """
    conditions: list[Condition] = []
    for key, text in require.items():
        bound = _BOUND.fullmatch(str(text))
        rival = _RIVAL.fullmatch(str(text)) if key.endswith(_VERSUS) and key != _VERSUS else None
        if bound:
            conditions.append(Condition(key, bound[1], float(bound[2])))
        elif rival:
            conditions.append(Condition(key.removesuffix(_VERSUS), rival[1] or ">=", rival=rival[2]))
        else:
            raise InvalidInputError(
                f"require {key!r}: {text!r} is no condition: write {{'accuracy': '>= 0.97'}} or "
                "{'accuracy_vs': 'production'}",
                field="require",
            )
    return conditions


def check(workspace: Workspace, name: str, run_id: str, conditions: list[Condition]) -> None:
    """Refuse a model whose run is not good enough.

    A version that is compared with itself passes, and so does a first version, which has no rival yet.

    Args:
        workspace: The workspace.
        name: The model's name.
        run_id: The run that made it.
        conditions: What its metrics must be.

    Raises:
        GateError: They are not; has all the numbers.
    """
    metrics = RunDirectory(workspace.run(run_id)).read().metrics
    reasons = [reason for condition in conditions if (reason := _unmet(workspace, name, run_id, condition, metrics))]
    if reasons:
        raise GateError(f"model {name} is held back: run {run_id} has {'; '.join(reasons)}")


def _unmet(
    workspace: Workspace, name: str, run_id: str, condition: Condition, metrics: Mapping[str, float]
) -> str | None:
    bound, whose = condition.bound, ""
    if bound is None:
        version = aliases.read(workspace, name).get(condition.rival)
        if version is None:
            return None
        rival = model.find(workspace, name, version)
        if rival.run_id == run_id:
            return None
        whose = f" of {condition.rival} (version {version})"
        theirs: Mapping[str, float] = {}
        if rival.run_id is not None:
            try:
                theirs = RunDirectory(workspace.run(rival.run_id)).read().metrics
            except NotFoundError:
                theirs = {}
        bound = theirs.get(condition.metric)
        if bound is None:
            return (
                f"nothing to compare {condition.metric} with: {condition.rival} (version {version}) has no such metric"
            )
    if condition.metric not in metrics:
        return f"no metric {condition.metric} (it logged {', '.join(sorted(metrics)) or 'none'})"
    value = metrics[condition.metric]
    if condition.holds(value, bound):
        return None
    return f"{condition.metric} {value:.6g}, which is not {condition.sign} {bound:.6g}{whose}"
