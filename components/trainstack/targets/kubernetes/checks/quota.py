"""Whether a namespace's quotas can ever hold the pods of a run: their most, not what is left of it just now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.base import Capacity
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import part, parts
from trainstack.targets.kubernetes.objects.run_objects import SIDECAR_RESOURCES, resources

_quotas: dict[tuple[str | None, str], dict[str, dict[str, str]]] = {}


def check(config: KubernetesConfig, holds: Capacity, nodes: int) -> None:
    """Refuse nodes that the compute's own quota never holds.

    Args:
        config: The cluster, with that quota.
        holds: What a node holds.
        nodes: How many there may be at once.

    Raises:
        InvalidInputError: Says which resource is too small, or no quantity.
    """
    _refuse(config, "its quota", config.quota, holds, nodes)


def check_found(config: KubernetesConfig, holds: Capacity, nodes: int, seconds: float) -> None:
    """Refuse nodes that a quota of the namespace never holds; one that cannot be asked for refuses nothing.

    Args:
        config: The cluster.
        holds: What a node holds.
        nodes: How many there are at once.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: Says which quota and which resource.
    """
    namespace = config.context, config.namespace
    if namespace not in _quotas:
        try:
            _quotas[namespace] = _read_quotas(KubernetesApi(config), seconds)
        except TrainstackError:
            return
    for name, hard in _quotas[namespace].items():
        # What the compute itself declares is about to become what it says now.
        if name != config.declared_as:
            _refuse(config, f"quota {name}", hard, holds, nodes)


def exceeded(hard: Mapping[str, str], holds: Capacity, nodes: int) -> str | None:
    """The first resource that nodes ask more of than there may be, in a few words; none when all fit.

    Args:
        hard: The most of each resource.
        holds: What a node holds.
        nodes: How many there are.

    Raises:
        ValueError: A quantity is none.
    """
    from kubernetes import utils

    library: Any = utils
    parse = library.parse_quantity
    needed: dict[str, Decimal] = {"pods": Decimal(nodes), "count/pods": Decimal(nodes)}
    for kind in ("requests", "limits"):
        for container in (resources(holds), SIDECAR_RESOURCES):
            for resource, amount in container[kind].items():
                for name in (f"{kind}.{resource}", *([resource] if kind == "requests" else [])):
                    needed[name] = needed.get(name, Decimal(0)) + nodes * parse(amount)
    for resource, most in hard.items():
        if needed.get(resource, Decimal(0)) > (limit := parse(most)):
            amount_needed = needed[resource]
            if "memory" in resource:
                return f"{resource} {amount_needed / 2**30:.4g}Gi, and {{}} allows {limit / 2**30:.4g}Gi"
            return f"{resource} {amount_needed.normalize():f}, and {{}} allows {most}"
    return None


def _refuse(config: KubernetesConfig, quota: str, hard: Mapping[str, str], holds: Capacity, nodes: int) -> None:
    try:
        excess = exceeded(hard, holds, nodes)
    except ValueError as exc:
        raise InvalidInputError(f"kubernetes: {quota}: {exc}: write quantities like 16, 500m or 64Gi") from exc
    if excess:
        raise InvalidInputError(
            f"kubernetes: {nodes} node{'s' * (nodes > 1)} ask{'s' * (nodes == 1)} for {excess.format(quota)} in "
            f"{config.described}: take fewer or smaller ones, or raise the quota",
            field="quota",
        )


def _read_quotas(api: KubernetesApi, seconds: float) -> dict[str, dict[str, str]]:
    with api.errors("looking for quotas"):
        answer = api.core.list_namespaced_resource_quota(
            api.namespace, _preload_content=False, _request_timeout=seconds
        )
    return {
        str(item["metadata"]["name"]): {key: str(text) for key, text in part(item, "spec", "hard").items()}
        for item in parts(json.loads(answer.data), "items")
        # One with a scope is for some pods only.
        if not item["spec"].get("scopes") and not item["spec"].get("scopeSelector")
    }
