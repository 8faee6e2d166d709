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


def everything(client: DockerClient, filters: dict[str, Any]) -> list[Thing]:
    """All that an engine has with certain labels.

    Args:
        client: The engine.
        filters: A filter of the engine's.
    """
    api = client.api
    containers: list[dict[str, Any]] = api.containers(all=True, filters=filters)
    networks: list[dict[str, Any]] = api.networks(filters=filters)
    listed: dict[str, list[dict[str, Any]] | None] = api.volumes(filters=filters)
    volumes = listed["Volumes"] or []
    return [
        *(
            Thing("container", container["Names"][0].lstrip("/"), container["Id"], container["Labels"])
            for container in containers
        ),
        *(Thing("network", network["Name"], network["Id"], network["Labels"]) for network in networks),
        *(Thing("volume", volume["Name"], volume["Name"], volume["Labels"]) for volume in volumes),
    ]


def remove(client: DockerClient, filters: dict[str, Any]) -> int:
    """Remove all that an engine has with certain labels; what is running is killed.

    Returns:
        How many containers there were.
    """
    things = everything(client, filters)
    api = client.api
    removals: dict[str, Callable[[str], Any]] = {
        "container": lambda key: api.remove_container(key, force=True, v=True),
        "network": api.remove_network,
        "volume": api.remove_volume,
    }
    for kind, act in removals.items():
        keys = [thing.key for thing in things if thing.kind == kind]
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(partial(_remove, act), keys))
    return sum(thing.kind == "container" for thing in things)


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
