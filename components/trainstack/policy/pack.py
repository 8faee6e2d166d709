"""The pack that Pulumi's engine asks about every resource."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError
from pydantic import ValidationError

from trainstack.core.preview.document import UNKNOWN
from trainstack.core.properties import integral
from trainstack.core.workspace.project import project_root
from trainstack.errors import InvalidInputError
from trainstack.policy import rules
from trainstack.policy.budget import Budget, BudgetSettings

_PREFIX = "pulumi-python:dynamic/trainstack:"
_ADVISE, _BLOCK = EnforcementLevel.ADVISORY, EnforcementLevel.MANDATORY
Ask = Callable[[str, str, rules.Inputs, Any, Path], Iterator[str]]


@dataclass(frozen=True)
class Rule:
    """One policy of the pack.

    Attributes:
        name: Its name in the pack's configuration.
        about: What it holds.
        settings: The class of its settings.
        ask: Yields violations for URN, kind, inputs, settings and project folder.
        level: What a violation does, where the configuration does not say.
    """

    name: str
    about: str
    settings: type[rules.Settings]
    ask: Ask
    level: EnforcementLevel = _ADVISE


def every_rule() -> list[Rule]:
    """The pack's rules, the budget at nothing spent."""
    budget = Budget(json.loads(os.environ.get("PULUMI_CONFIG") or "{}"))

    def spend(urn: str, kind: str, inputs: rules.Inputs, settings: Any, root: Path) -> Iterator[str]:
        if kind in ("TrainingRun", "Sweep"):
            yield from budget(urn, inputs, settings, root)

    def alone(rule: Callable[[str, rules.Inputs, Any, Path], Iterator[str]]) -> Ask:
        return lambda _urn, kind, inputs, settings, root: rule(kind, inputs, settings, root)

    return [
        Rule("budget", "What all training of an update may cost.", BudgetSettings, spend, _BLOCK),
        Rule("node-limits", "Nodes, GPUs and sizes of computes.", rules.NodeLimits, alone(rules.node_limits), _BLOCK),
        Rule("low-priority", "Rented nodes are of low priority.", rules.Nothing, alone(rules.low_priority)),
        Rule("registered-datasets", "Runs read datasets alone.", rules.Datasets, alone(rules.registered_datasets)),
        Rule("pinned-environments", "Packages are pinned.", rules.Nothing, alone(rules.pinned_environments)),
        Rule("gate-metric", "A model's run reached what is asked.", rules.Gate, alone(rules.gate_metric), _BLOCK),
        Rule("service-key", "Public services have a key.", rules.ServiceKey, alone(rules.service_key), _BLOCK),
    ]


def policies() -> list[ResourceValidationPolicy]:
    """The rules as Pulumi's policies."""
    return [
        ResourceValidationPolicy(
            name=rule.name,
            description=rule.about,
            validate=_validation(rule),
            enforcement_level=rule.level,
            config_schema=_schema(rule.settings),
        )
        for rule in every_rule()
    ]


def serve() -> None:
    """Answer the engine until it ends."""
    PolicyPack("trainstack", [*policies()], _ADVISE)


def _validation(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if not args.resource_type.startswith(_PREFIX):
            return
        given = {name: value for name, value in args.get_config().items() if name != "enforcementLevel"}
        kind = args.resource_type.removeprefix(_PREFIX)
        try:
            settings = rule.settings.model_validate(plain(given))
            for violation in rule.ask(args.urn, kind, plain(args.props), settings, project_root()):
                report(f"{args.name}: {violation}", None)
        except ValidationError as exc:
            problem = exc.errors()[0]
            report(f"settings of {rule.name}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}", None)
        except InvalidInputError as exc:
            report(f"{args.name}: {exc}", None)

    return validate


def plain(value: Any) -> Any:
    """A value of the policy SDK as plain data: unknown ones marked, whole numbers as integers."""
    if isinstance(value, Mapping):
        names = cast("Mapping[str, Any]", value)
        return {name: _got(names, name) for name in names}
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        return integral(value)
    return [_got(value, index) for index in range(len(value))]


def _got(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def _schema(settings: type[rules.Settings]) -> PolicyConfigSchema | None:
    described: dict[str, Any] = settings.model_json_schema(by_alias=True)
    properties = {name: _shape(each) for name, each in described.get("properties", {}).items()}
    return PolicyConfigSchema(properties=properties) if properties else None


def _shape(described: dict[str, Any]) -> dict[str, Any]:
    """A property's schema for the engine, which knows JSON schema's basic words."""
    options = [one for one in described.get("anyOf", [described]) if one.get("type") != "null"]
    return {name: value for name, value in options[0].items() if name in ("type", "items", "minimum", "enum")}
