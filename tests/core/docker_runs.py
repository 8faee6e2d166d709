"""What runs have on a real Docker engine, seen past Trainstack."""

import os
from typing import Any

import pytest

from trainstack.core.runs import location
from trainstack.core.runs.directory import RunDirectory
from trainstack.docker_engine.engine_api import connect
from trainstack.errors import TrainstackError

_CLIENTS: list[Any] = []


def _missing() -> str:
    if not os.environ.get("DOCKER_HOST"):
        return "DOCKER_HOST names no Docker engine"
    if not os.environ.get("TRAINSTACK_BASE_IMAGE"):
        return "TRAINSTACK_BASE_IMAGE names no base image that the engine can have"
    try:
        _CLIENTS.append(connect(timeout=30))
    except TrainstackError as exc:
        return str(exc)
    return ""


_REASON = _missing()
needs_engine = pytest.mark.skipif(bool(_REASON), reason=_REASON or "-")


def engine() -> Any:
    return _CLIENTS[0]


def _labels(run: RunDirectory, **more: str) -> dict[str, list[str]]:
    ref = location.ref_of(run)
    wanted = {"workspace": ref.workspace, "run": ref.id, **more}
    return {"label": [f"trainstack.{name}={value}" for name, value in wanted.items()]}


def containers(run: RunDirectory, **labels: str) -> list[dict[str, Any]]:
    api = engine().api
    return [api.inspect_container(one["Id"]) for one in api.containers(all=True, filters=_labels(run, **labels))]


def left(run: RunDirectory) -> list[str]:
    """Containers, networks and volumes that the engine still has of a run."""
    api, wanted = engine().api, _labels(run)
    found = [one["Names"][0] for one in api.containers(all=True, filters=wanted)]
    found += [one["Name"] for one in api.networks(filters=wanted)]
    return found + [one["Name"] for one in api.volumes(filters=wanted)["Volumes"] or []]


def file_in(run: RunDirectory, path: str) -> bytes:
    """A file in the volumes of a run, through its node's container."""
    import io
    import tarfile

    [node] = containers(run, node="0")
    stream, _ = engine().api.get_archive(node["Id"], path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        [member] = archive.getmembers()
        content = archive.extractfile(member)
        assert content is not None
        return content.read()
