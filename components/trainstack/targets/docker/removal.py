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
class EngineObject:
    """A `container`, `network` or `volume`.

    Attributes:
        kind: Which of them.
        name: Its name, for people.
        key: Its id, or a volume's name: what the engine's API takes.
        labels: Its labels.
    """

    kind: str
    name: str
    key: str
    labels: dict[str, str]


def list_objects(client: DockerClient, filters: dict[str, Any]) -> list[EngineObject]:
    """List the containers, networks and volumes of an engine that have certain labels.

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
            EngineObject("container", container["Names"][0].lstrip("/"), container["Id"], container["Labels"])
            for container in containers
        ),
        *(EngineObject("network", network["Name"], network["Id"], network["Labels"]) for network in networks),
        *(EngineObject("volume", volume["Name"], volume["Name"], volume["Labels"]) for volume in volumes),
    ]


def remove(client: DockerClient, filters: dict[str, Any]) -> int:
    """Remove all that an engine has with certain labels; what is running is killed.

    Returns:
        How many containers there were.
    """
    objects = list_objects(client, filters)
    api = client.api
    removals: dict[str, Callable[[str], Any]] = {
        "container": lambda key: api.remove_container(key, force=True, v=True),
        "network": api.remove_network,
        "volume": api.remove_volume,
    }
    for kind, remove_one in removals.items():
        keys = [each.key for each in objects if each.kind == kind]
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(partial(_remove, remove_one), keys))
    return sum(each.kind == "container" for each in objects)


def _remove(remove_one: Callable[[str], Any], key: str) -> None:
    """Remove one object, if it still exists; one that is still in use is waited for."""
    from docker.errors import APIError, NotFound

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            remove_one(key)
        except NotFound:
            return
        except APIError:
            # A container's removal under way, a volume still in use by it, a network with an end point left.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
