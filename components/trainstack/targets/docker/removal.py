"""Find and remove what bears certain labels on an engine, in the order in which it lets go."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from trainstack.docker_engine.engine_api import DockerClient

_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Thing:
    """A `container`, `network` or `volume`; `key` is what the engine wants to hear."""

    kind: str
    name: str
    key: str
    labels: dict[str, str]


def everything(client: DockerClient, wanted: dict[str, Any]) -> list[Thing]:
    """All that an engine has with certain labels.

    Args:
        client: The engine.
        wanted: A filter of the engine's.
    """
    api = client.api
    containers: list[dict[str, Any]] = api.containers(all=True, filters=wanted)
    networks: list[dict[str, Any]] = api.networks(filters=wanted)
    listed: dict[str, list[dict[str, Any]] | None] = api.volumes(filters=wanted)
    volumes = listed["Volumes"] or []
    return [
        *(Thing("container", one["Names"][0].lstrip("/"), one["Id"], one["Labels"]) for one in containers),
        *(Thing("network", one["Name"], one["Id"], one["Labels"]) for one in networks),
        *(Thing("volume", one["Name"], one["Name"], one["Labels"]) for one in volumes),
    ]


def remove(client: DockerClient, wanted: dict[str, Any]) -> int:
    """Remove all that an engine has with certain labels; what is running is killed.

    Returns:
        How many containers there were.
    """
    found = everything(client, wanted)
    api = client.api
    removals: dict[str, Callable[[str], Any]] = {
        "container": lambda key: api.remove_container(key, force=True, v=True),
        "network": api.remove_network,
        "volume": api.remove_volume,
    }
    for kind, act in removals.items():
        keys = [one.key for one in found if one.kind == kind]
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(partial(_remove, act), keys))
    return sum(one.kind == "container" for one in found)


def _remove(act: Callable[[str], Any], key: str) -> None:
    """Remove one thing; what is gone is as well, and what is being let go of is waited for."""
    from docker.errors import APIError, NotFound

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            act(key)
        except NotFound:
            return
        except APIError:
            # A container's removal under way, a volume still in use by it, a network with an end point left.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
