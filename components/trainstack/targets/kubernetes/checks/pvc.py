"""Whether the volume claims that a program names are there, and may be had by as many nodes as there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig


def check_modes(what: str, modes: Sequence[str], nodes: int) -> None:
    """Refuse a store that not all nodes can write to.

    Args:
        what: The claim, for the error.
        modes: Its access modes.
        nodes: How many nodes there may be at once.

    Raises:
        InvalidInputError: They cannot.
    """
    if "ReadWriteMany" in modes or (nodes == 1 and not {"ReadWriteOnce", "ReadWriteOncePod"}.isdisjoint(modes)):
        return
    raise InvalidInputError(
        f"kubernetes: {what} has access mode {', '.join(modes)}, and {nodes} node{'s' * (nodes > 1)} must write to it: "
        "take a claim with ReadWriteMany",
        field="store",
    )


def check_found(config: KubernetesConfig, nodes: int, seconds: float) -> None:
    """Refuse claims that are not there; what may not be asked refuses nothing.

    Args:
        config: The cluster, with its claims.
        nodes: How many nodes there may be at once.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: One is not there, or is a store that not all nodes can write to.
    """
    for name in sorted({*(claim.name for claim in config.claims), *filter(None, [config.store])}):
        # What the compute itself declares is about to be made.
        if config.declared_as and name.startswith(f"{config.declared_as}-"):
            continue
        try:
            modes = _modes(KubernetesApi(config), name, seconds)
        except InvalidInputError:
            raise
        except TrainstackError:
            return
        if name == config.store:
            check_modes(f"claim {name}", modes, nodes)


def _modes(api: KubernetesApi, name: str, seconds: float) -> list[str]:
    ask = partial(
        api.core.read_namespaced_persistent_volume_claim,
        *(name, api.namespace),
        _preload_content=False,
        _request_timeout=seconds,
    )
    claim = api.request(f"looking for claim {name}", ask)
    if claim is None:
        raise InvalidInputError(
            f"kubernetes: there is no claim {name} in {api.config.described}: make it, or give size_gib in the "
            "place of its name",
            field="store",
        )
    return list(map(str, claim["spec"]["accessModes"]))
