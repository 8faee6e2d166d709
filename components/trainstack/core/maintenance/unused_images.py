"""Reclaim images that we built and that have not been used for a while, and the logs of their builds.

An image can always be built again from its lock, so this costs time at worst. None is taken away from a container,
from a run of the workspace that is yet to complete, or from a service that is to run. The engines that computes, runs
and services of the workspace name are asked; a registry keeps what it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from trainstack.core.images.image import CONTENT, ENVIRONMENT
from trainstack.core.maintenance import references
from trainstack.core.maintenance.gc import Garbage, remove
from trainstack.core.maintenance.orphans import computes_in_use
from trainstack.core.services.record import list_services
from trainstack.core.workspace.workspace import Workspace
from trainstack.docker_engine import engine_api
from trainstack.docker_engine.engine_api import DockerClient, engine_errors
from trainstack.errors import TrainstackError
from trainstack.storage import disk_space, locks
from trainstack.storage.cache import cache_folder
from trainstack.targets import registry

Warn = Callable[[str], None]
_DAY = 24 * 3600


def find(workspace: Workspace, days: float, warn: Warn = lambda _: None) -> list[Garbage]:
    """List images that nobody asked for in so many days and that nothing needs, and logs of builds as old.

    Args:
        workspace: Whose engines to ask.
        days: How long ago they were used last, at least.
        warn: Called for each engine that does not answer.

    Raises:
        TrainstackError: A record of the workspace is damaged, so nobody knows what it needs.
    """
    return _process(workspace, days, warn, delete=False)


def collect(workspace: Workspace, days: float, warn: Warn = lambda _: None) -> list[Garbage]:
    """Remove what `find` lists; what is used meanwhile stays. Gives what was removed."""
    return _process(workspace, days, warn, delete=True)


def _process(workspace: Workspace, days: float, warn: Warn, *, delete: bool) -> list[Garbage]:
    oldest = time.time() - days * _DAY
    needed = _needed(workspace)
    garbage: list[Garbage] = []
    for host in _hosts(workspace):
        try:
            with engine_api.connected(host, timeout=60) as client:
                garbage += _of_engine(client, oldest, needed, delete=delete)
        except TrainstackError as exc:
            warn(f"its images are not known: {exc}")
    logs = [folder for folder in sorted(_builds().glob("*")) if folder.is_dir() and folder.stat().st_mtime < oldest]
    garbage += [
        Garbage("build", folder, size)
        for folder, size in zip(logs, disk_space.freed(disk_space.files_below(log) for log in logs), strict=True)
    ]
    if delete:
        for folder in logs:
            remove(folder)
    return garbage


def _of_engine(client: DockerClient, oldest: float, needed: set[str], *, delete: bool) -> list[Garbage]:
    garbage: list[Garbage] = []
    with engine_errors("listing images"):
        own = _own_sizes(client)
        running: list[dict[str, Any]] = client.api.containers(all=True)
        busy = {str(container["ImageID"]) for container in running}
        images: list[dict[str, Any]] = client.api.images(filters={"label": CONTENT})
    for image in images:
        labels: dict[str, str] = image["Labels"] or {}
        content, environment = labels[CONTENT], labels.get(ENVIRONMENT, "")
        names: set[str] = {image["Id"], environment, *(image.get("RepoDigests") or ())}
        if image["Id"] in busy or names & needed or _last_use(image, content) >= oldest:
            continue
        if not delete or _remove_image(client, image, content, oldest):
            garbage.append(Garbage("image", Path("docker", "image", content), own.get(image["Id"], 0)))
    return garbage


def _own_sizes(client: DockerClient) -> dict[str, int]:
    """Bytes that each image has for itself, by id: layers that others share stay when it goes."""
    from docker.errors import APIError

    try:
        images: list[dict[str, Any]] = client.api.df()["Images"] or []
    except APIError:
        # An engine that removes an image just now may fail to sum up. A list without sizes is better than none.
        return {}
    return {image["Id"]: max(0, image["Size"] - max(0, image["SharedSize"])) for image in images}


def _remove_image(client: DockerClient, image: dict[str, Any], content: str, oldest: float) -> bool:
    """Remove an image by all its names, unless somebody asks for it at this moment; says whether it has gone."""
    from docker.errors import APIError, NotFound

    # Whoever builds or finds it holds this lock or has touched its folder.
    with locks.exclusive(_builds() / f"{content}.lock"), engine_errors("removing an image"):
        if _last_use(image, content) >= oldest:
            return False
        for name in [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ()), image["Id"]]:
            try:
                client.api.remove_image(name)
            except NotFound:
                continue
            except APIError as exc:
                if exc.status_code == 409:
                    return False
                raise
    return True


def _last_use(image: dict[str, Any], content: str) -> float:
    """When it was last asked for on this machine, else created: seconds since 1970."""
    try:
        return (_builds() / content).stat().st_mtime
    except FileNotFoundError:
        created = image["Created"]
        return float(created) if isinstance(created, int) else datetime.fromisoformat(created).timestamp()


def _needed(workspace: Workspace) -> set[str]:
    digests = {request.spec.environment.digest for request in references.unfinished(workspace)}
    services = list_services(workspace)
    return digests | {service.image for service in services if service.status != "stopped" and service.image}


def _hosts(workspace: Workspace) -> list[str | None]:
    hosts = [compute.docker_host for compute in computes_in_use(workspace) if _has_images(compute.target)]
    hosts += [service.docker_host for service in list_services(workspace) if _has_images(service.target)]
    return list(dict.fromkeys(hosts))


def _has_images(target: str) -> bool:
    """Whether containers of a target take images from its Docker engine, where they then are in use."""
    capabilities = registry.capabilities(target)
    return capabilities.uses_images and not capabilities.needs_registry


def _builds() -> Path:
    return cache_folder() / "images"
