"""From a program's arguments to a `KubernetesConfig`: plain values, checked, and the names of what is there."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

import pulumi

from trainstack.components.kubernetes.args import KubernetesArgs
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import compute_resources, node_pool
from trainstack.targets.kubernetes.objects.validation import checked

# Arguments whose values are not those of the config: the config has the names of what is declared for them. All others
# go into the config as they are, so that a new one needs a field there and nothing here.
_DECLARED = {
    "service_account",
    "pull_secrets",
    "settings",
    "secret_settings",
    "claims",
    "store",
    "quota",
    "driver",
    "pool",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_plain(value: Any, where: str, but: Collection[str] = ()) -> None:
    """Refuse outputs: what is declared depends on these values, and preview must know them.

    Args:
        value: Arguments: dataclasses, mappings and lists.
        where: Their name, for the error.
        but: Names of those whose values may be outputs.

    Raises:
        InvalidInputError: One is an output; says which.
    """
    if isinstance(value, pulumi.Output):
        raise InvalidInputError(f"{where} is an output, known only later: give a plain value", field=where)
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            if key not in but:
                check_plain(item, f"{where}.{key}", but)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(cast("Sequence[Any]", value)):
            check_plain(item, f"{where}[{number}]", but)


def check_variables(names: Iterable[str]) -> None:
    """Refuse settings that are no environment variables.

    Raises:
        InvalidInputError: Names the first.
    """
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise InvalidInputError(f"kubernetes: setting {name!r} is no name of an environment variable")


def build_config(title: str, args: KubernetesArgs, *, has_login: bool, **more: Any) -> KubernetesConfig:
    """The config of a cluster.

    Args:
        title: What is declared there is called.
        args: What the program says of it.
        has_login: Whether a Secret with the registry's login is declared.
        more: Other fields of `KubernetesConfig`.

    Raises:
        InvalidInputError: A value cannot be.
    """
    pooled: dict[str, Any] = {}
    if args.pool is not None:
        pooled = {
            "pool": title,
            "node_selector": {**args.node_selector, node_pool.POOL: title},
            "tolerations": [*args.tolerations, {"key": node_pool.POOL, "operator": "Equal", "value": title}],
        }
    own = [compute_resources.pull_secret(title)] if has_login else []
    if args.priority_class is not None and args.queue is None:
        raise InvalidInputError("kubernetes: priority_class is of a queue: give queue too", field="priority_class")
    return checked(
        KubernetesConfig,
        {
            **{field.name: getattr(args, field.name) for field in fields(args) if field.name not in _DECLARED},
            "service_account": args.service_account or title,
            "pull_secrets": [*args.pull_secrets, *own],
            **_queue(args),
            **pooled,
            **more,
        },
    )


def _queue(args: KubernetesArgs) -> dict[str, Any]:
    """The queue by its name, and what it can hold where the program declares it."""
    queue = args.queue
    if queue is None or isinstance(queue, str):
        return {}
    if (queue.context, queue.namespace) != (args.context, args.namespace):
        raise InvalidInputError(
            f"kubernetes: queue {queue.name} is in namespace {queue.namespace}, the compute in {args.namespace}: give "
            "both the same context and namespace",
            field="queue",
        )
    named = {} if args.priority_class is None else {"priority_class": queue.priority_class(args.priority_class)}
    return {"queue": queue.name, "queue_limits": queue.spec.limits, **named}


def encoded(values: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Output[str]]:
    """Secret values as a Secret has them, in base64."""
    return {
        key: pulumi.Output.secret(text).apply(lambda value: base64.b64encode(value.encode()).decode())
        for key, text in values.items()
    }
