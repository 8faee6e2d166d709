"""What a service's server is told to serve: versions with their shares, labels, mirror and keys, as one document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainstack.core.models.model import find, lay_out
from trainstack.core.models.model_record import ModelRecord
from trainstack.core.services.record import LATEST, ServiceSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError
from trainstack.server.serving_plan import Plan, VersionPlan


def served_models(workspace: Workspace, spec: ServiceSpec, model: ModelRecord) -> list[ModelRecord]:
    """The versions that a service holds, with their files: the model's own, and those with traffic, copies or a label.

    Raises:
        NotFoundError: A version is not registered.
    """
    named = {model.version, *(_number(name, model) for name in _names(spec))}
    models = [model if number == model.version else find(workspace, model.name, number) for number in sorted(named)]
    for record in models:
        lay_out(workspace, record)
    return models


def service_plan(spec: ServiceSpec, model: ModelRecord, models: Sequence[ModelRecord], folder: Path) -> Plan:
    """Compose the document.

    Args:
        spec: How the service is asked for.
        model: The version that gets all traffic where nothing else is said.
        models: What `served_models` found.
        folder: The service's folder.
    """
    shares = {_number(name, model): weight for name, weight in spec.traffic.items()} or {model.version: 1}
    return Plan(
        name=model.name,
        versions=tuple(
            VersionPlan(
                version=record.version,
                path=record.path,
                digest=record.digest,
                weight=shares.get(record.version, 0),
                sample_input=record.sample_input,
            )
            for record in models
        ),
        labels={label: _number(name, model) for label, name in spec.labels.items()},
        mirror=None if spec.mirror is None else _number(spec.mirror, model),
        key_digests=spec.key_digests,
        allowed_hosts=spec.allowed_hosts,
        cors_origins=spec.cors_origins,
        capture=spec.capture,
        capture_folder=str(folder / "captured") if spec.capture else None,
        runtime=spec.runtime,
    )


def _names(spec: ServiceSpec) -> list[str]:
    mirrored = [] if spec.mirror is None else [spec.mirror]
    return [*spec.traffic, *spec.labels.values(), *mirrored]


def _number(name: str, model: ModelRecord) -> int:
    if name == LATEST:
        return model.version
    if not name.isdecimal():
        raise InvalidInputError(f"version {name!r} is no number, and not {LATEST!r}", field="traffic")
    return int(name)
