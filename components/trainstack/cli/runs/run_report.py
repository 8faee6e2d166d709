"""What `runs show` tells of a run, as plain values: the JSON that it prints, and what its tables are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from trainstack.cli.runs.run_summary import stages, summary
from trainstack.core.runs import artifacts, cost
from trainstack.core.runs.directory import RunDirectory, RunRecord
from trainstack.core.runs.events import DATA_EVENT, read_events
from trainstack.core.runs.fields import COUNTED
from trainstack.core.runs.request import RunRequest
from trainstack.core.runs.run_field import run_fields
from trainstack.errors import TrainstackError


def detail(directory: RunDirectory, record: RunRecord, location: str) -> dict[str, Any]:
    """A run in full, as `runs show` gives it; what was submitted is missing when it cannot be read.

    Args:
        directory: Where its records can be read.
        record: Its record.
        location: Where its files are: a folder, or an address.
    """
    paths = {
        "code": directory.code,
        "outputs": directory.outputs,
        "logs": directory.logs,
        "log": directory.merged_log,
        "checkpoints": directory.checkpoints,
        "tracking": directory.tracking,
    }
    request = submitted(directory)
    described = _request(request)
    for name, lent in _lent(directory).items():
        if name in described.get("datasets", {}):
            described["datasets"][name]["given"] = lent
    return {
        **summary(directory, record),
        **described,
        "cost": _cost(record, request),
        "stages": stages(directory, record),
        "failure": record.failure.model_dump(mode="json") if record.failure else None,
        "outputs": _outputs(directory, record),
        "paths": {
            "directory": location,
            **{name: f"{location}/{path.relative_to(directory.root).as_posix()}" for name, path in paths.items()},
        },
    }


def submitted(directory: RunDirectory) -> RunRequest | None:
    """What was submitted; none when its file is missing, damaged or of another version."""
    with contextlib.suppress(OSError, ValueError, TrainstackError):
        return directory.request()
    return None


def _request(request: RunRequest | None) -> dict[str, Any]:
    if request is None:
        return {}
    values = {
        field.key or name: getattr(request.spec if name in COUNTED else request, name)
        for name, field in {**COUNTED, **run_fields(RunRequest)}.items()
    }
    return {
        "fingerprint": request.spec.fingerprint,
        **{key: _REPORTED[key](request) if key in _REPORTED else value for key, value in values.items()},
    }


def _cost(record: RunRecord, request: RunRequest | None) -> dict[str, Any] | None:
    """What the run's nodes have come to; none before any worked."""
    if request is None:
        return None
    spent = cost.so_far(record, request)
    if not spent.node_seconds:
        return None
    priority = "low" if spent.low else "dedicated"
    return {
        "node_seconds": round(spent.node_seconds, 3),
        "priority": priority,
        "amount": None if spent.amount is None else round(spent.amount, 6),
        "currency": spent.currency,
    }


def _datasets(request: RunRequest) -> dict[str, dict[str, Any]]:
    """Each dataset as it was registered, with the digest that counts."""
    registered = {name: reference.model_dump() for name, reference in request.datasets.items()}
    return {name: {**registered.get(name, {}), "digest": digest} for name, digest in request.spec.datasets.items()}


def _lent(directory: RunDirectory) -> dict[str, dict[str, Any]]:
    """How the latest attempt was given each dataset that stays in an object store."""
    return {
        str(event.get("dataset")): {name: event.get(name) for name in ("way", "objects", "fetched")}
        for event in read_events(directory.root)
        if event["kind"] == DATA_EVENT
    }


def _environment(request: RunRequest) -> dict[str, str]:
    environment = request.spec.environment
    return {
        "name": request.environment.spec.name,
        "digest": environment.digest,
        "python": environment.python,
    }


_REPORTED: dict[str, Callable[[RunRequest], Any]] = {
    "datasets": _datasets,
    "environment": _environment,
    "secret_variables": lambda request: sorted(request.spec.secret_variables),
    "compute": lambda request: request.compute.model_dump(mode="json"),
}
"""Fields that reports show otherwise than their value."""


def _outputs(directory: RunDirectory, record: RunRecord) -> list[dict[str, Any]]:
    """The files of `outputs/`; the size of one that only the record has is not known."""
    sizes: dict[str, int | None] = {f"outputs/{name}": None for name in record.outputs}
    sizes |= artifacts.listing(directory.root, "outputs/")
    return [
        {"path": path, "bytes": size, "sha256": record.outputs.get(path.removeprefix("outputs/"))}
        for path, size in sorted(sizes.items())
    ]
