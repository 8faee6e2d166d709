"""How a run is spread over nodes, and what of it cannot work, known before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainstack.agent.distribution import KINDS, Distribution, Horovod, TensorFlow
from trainstack.agent.document import build
from trainstack.agent.errors import LaunchError
from trainstack.core.compute.compute import ComputeSpec, check, holding, node_capacity
from trainstack.errors import InvalidInputError, TrainstackError

KERAS_3 = (2, 16)
_PATIENCE_SECONDS = 3.0


def parse(properties: Mapping[str, Any]) -> tuple[Distribution, int]:
    """Read a distribution as specs hold it.

    Args:
        properties: `kind`, `node_count`, and the options of that kind.

    Returns:
        The distribution and its number of nodes.

    Raises:
        InvalidInputError: The kind or an option is unknown or of a wrong type.
    """
    options = {name: value for name, value in properties.items() if value is not None}
    kind = options.pop("kind", "single")
    node_count = options.pop("node_count", 1)
    if kind not in KINDS:
        raise InvalidInputError(f"distribution kind {kind!r} is none of {', '.join(KINDS)}", field="distribution")
    if not isinstance(node_count, int) or node_count < 1:
        raise InvalidInputError(f"node_count must be a whole number from 1, not {node_count!r}", field="distribution")
    try:
        return build(KINDS[kind], options), node_count
    except LaunchError as exc:
        raise InvalidInputError(
            f"distribution: {str(exc).removeprefix('launch plan: ')}", field="distribution"
        ) from exc


def checked(
    properties: Mapping[str, Any], environment: Mapping[str, Any] | None, cluster: ComputeSpec | None
) -> dict[str, Any]:
    """Refuse what cannot work, and return the distribution in its one form, defaults left out.

    Args:
        properties: The distribution as the program gives it.
        environment: The run's environment with its `packages` and `variables`, where known.
        cluster: The compute, where known.

    Raises:
        InvalidInputError: More nodes or ranks than there are, Horovod missing, or Keras 3 with a strategy.
    """
    parsed, node_count = parse(properties)
    if problem := parsed.problem(node_count):
        raise InvalidInputError(f"distribution: {problem}", field="distribution")
    if cluster is not None:
        _check_room(parsed, node_count, cluster)
    packages = (environment or {}).get("packages")
    if isinstance(packages, Mapping):
        variables: dict[str, str] = (environment or {}).get("variables") or {}
        _check_packages(parsed, packages, variables)  # pyright: ignore[reportUnknownArgumentType]
    defaults = asdict(type(parsed)())
    chosen = {name: value for name, value in asdict(parsed).items() if value != defaults[name]}
    return {"kind": parsed.kind, "node_count": node_count, **chosen}


def _check_room(parsed: Distribution, node_count: int, cluster: ComputeSpec) -> None:
    if node_count > cluster.max_nodes:
        advice = ""
        if isinstance(parsed, TensorFlow) and parsed.parameter_servers and parsed.workers <= cluster.max_nodes:
            advice = f", or let parameter servers share the workers' nodes with node_count={parsed.workers}"
        raise InvalidInputError(
            f"{node_count} nodes are more than compute {cluster.name!r} has ({cluster.max_nodes}): "
            f"raise its max_nodes{advice}",
            field="distribution",
        )
    check(cluster)
    try:
        cpus = node_capacity(cluster, holding(cluster, seconds=_PATIENCE_SECONDS)).cpus
    except InvalidInputError:
        raise
    except TrainstackError:
        # A place that does not answer now is asked again before anything starts; its compute's row warns of it.
        return
    if isinstance(parsed, Horovod) and (parsed.max_workers or parsed.processes_per_node) > cpus:
        raise InvalidInputError(
            f"{parsed.max_workers or parsed.processes_per_node} ranks a node are more than the {cpus} CPUs of a node "
            f"of {cluster.name!r}: take fewer processes or a larger node",
            field="distribution",
        )


def _check_packages(parsed: Distribution, packages: Mapping[str, str], variables: Mapping[str, str]) -> None:
    if not isinstance(parsed, Horovod | TensorFlow):
        return
    if isinstance(parsed, Horovod) and "horovod" not in packages:
        raise InvalidInputError(
            "Horovod is not in the environment: take the curated environment trainstack-tensorflow-2.15-horovod",
            field="distribution",
        )
    version = next((packages[name] for name in ("tensorflow", "tensorflow-cpu") if name in packages), None)
    if version is None:
        raise InvalidInputError(
            f"TensorFlow is not in the environment, and distribution {parsed.kind!r} needs it: add tensorflow-cpu",
            field="distribution",
        )
    numbers = tuple(int(part) for part in version.split(".")[:2])
    legacy = variables.get("TF_USE_LEGACY_KERAS") == "1" and "tf-keras" in packages
    if numbers >= KERAS_3 and not legacy:
        raise InvalidInputError(
            f"TensorFlow {version} brings Keras 3, which breaks distribution {parsed.kind!r}: add tf-keras and the "
            "variable TF_USE_LEGACY_KERAS=1, or take a curated environment",
            field="distribution",
        )


__all__ = ["Distribution", "checked", "parse"]
