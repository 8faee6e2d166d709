"""The policy pack: Pulumi's engine validates every resource with it."""

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
Check = Callable[[str, str, rules.Inputs, Any, Path], Iterator[str]]


@dataclass(frozen=True)
class Rule:
    """One policy of the pack.

    Attributes:
        name: Its name in the pack's configuration.
        about: Its description for people, in one sentence.
        settings: The class of its settings.
        check: Yields violations for URN, kind, inputs, settings and project folder.
        level: What a violation does, unless the configuration says otherwise.
    """

    name: str
    about: str
    settings: type[rules.Settings]
    check: Check
    level: EnforcementLevel = _ADVISE


def all_rules() -> list[Rule]:
    """Make the pack's rules, with a budget of which nothing is spent."""
    budget = Budget(json.loads(os.environ.get("PULUMI_CONFIG") or "{}"))

    def spend(urn: str, kind: str, inputs: rules.Inputs, settings: Any, root: Path) -> Iterator[str]:
        if kind in ("TrainingRun", "Sweep"):
            yield from budget(urn, inputs, settings, root)

    def per_resource(rule: Callable[[str, rules.Inputs, Any, Path], Iterator[str]]) -> Check:
        return lambda _urn, kind, inputs, settings, root: rule(kind, inputs, settings, root)

    return [
        Rule("budget", "What all training of an update may cost.", BudgetSettings, spend, _BLOCK),
        Rule(
            "node-limits",
            "Nodes, GPUs and sizes of computes.",
            rules.NodeLimits,
            per_resource(rules.node_limits),
            _BLOCK,
        ),
        Rule("low-priority", "Rented nodes are of low priority.", rules.NoSettings, per_resource(rules.low_priority)),
        Rule(
            "registered-datasets",
            "Runs read datasets only.",
            rules.Datasets,
            per_resource(rules.registered_datasets),
        ),
        Rule("pinned-environments", "Packages are pinned.", rules.NoSettings, per_resource(rules.pinned_environments)),
        Rule(
            "gate-metric",
            "A model's metric is within limits.",
            rules.Gate,
            per_resource(rules.gate_metric),
            _BLOCK,
        ),
        Rule("service-key", "Public services have a key.", rules.ServiceKey, per_resource(rules.service_key), _BLOCK),
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
        for rule in all_rules()
    ]


def serve() -> None:
    """Serve the pack to the engine until the engine ends."""
    PolicyPack("trainstack", [*policies()], _ADVISE)


def _validation(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if not args.resource_type.startswith(_PREFIX):
            return
        configured = {name: value for name, value in args.get_config().items() if name != "enforcementLevel"}
        kind = args.resource_type.removeprefix(_PREFIX)
        try:
            settings = rule.settings.model_validate(plain(configured))
            for violation in rule.check(args.urn, kind, plain(args.props), settings, project_root()):
                report(f"{args.name}: {violation}", None)
        except ValidationError as exc:
            problem = exc.errors()[0]
            report(f"settings of {rule.name}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}", None)
        except InvalidInputError as exc:
            report(f"{args.name}: {exc}", None)

    return validate


def plain(value: Any) -> Any:
    """Turn a value of the policy SDK into plain data: unknown values are marked, whole numbers are integers."""
    if isinstance(value, Mapping):
        names = cast("Mapping[str, Any]", value)
        return {name: _item(names, name) for name in names}
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        return integral(value)
    return [_item(value, index) for index in range(len(value))]


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def _schema(settings: type[rules.Settings]) -> PolicyConfigSchema | None:
    document: dict[str, Any] = settings.model_json_schema(by_alias=True)
    properties = {name: _shape(schema) for name, schema in document.get("properties", {}).items()}
    return PolicyConfigSchema(properties=properties) if properties else None


def _shape(schema: dict[str, Any]) -> dict[str, Any]:
    """Reduce a property's schema to the keywords of JSON schema that the engine knows."""
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    return {name: value for name, value in options[0].items() if name in ("type", "items", "minimum", "enum")}
