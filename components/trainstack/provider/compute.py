"""Compute: found or created in the workspace."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pulumi.dynamic import CreateResult, UpdateResult

from trainstack.abbreviation import counted
from trainstack.core.compute import compute, target_checks
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError, WorkspaceNotFoundError
from trainstack.provider.base import BaseProvider, Properties, known, log_of, own, with_workspace_id, workspace_of
from trainstack.provider.compute_inputs import compute_spec
from trainstack.storage.atomic import read_json
from trainstack.storage.object_store.address import address_in


class ComputeProvider(BaseProvider):
    """A named compute."""

    content = compute.input_names()

    def accept(self, news: Properties) -> Properties:
        """Check the size against the place, where that answers."""
        spec = compute_spec(news)
        if spec is not None:
            compute.check(spec)
            _check_driver(spec, news)
            target_checks.check_size(spec)
            try:
                holds = compute.holding(spec, seconds=compute.PATIENCE_SECONDS)
            except InvalidInputError:
                raise
            except TrainstackError as exc:
                log_of(news).warn(f"its size is not checked: {exc}")
            else:
                compute.node_capacity(spec, holds)
                target_checks.check_compute(spec)
        return news

    def create(self, props: Properties) -> CreateResult:
        """Find it, else create it, and say which."""
        return CreateResult(props["name"], self._ensure(props))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Keep what it is now asked to be."""
        return UpdateResult(self._ensure(_news))

    def refresh(self, properties: Properties) -> Properties:
        """Say where the workspace's record differs from the state."""
        path = workspace_of(properties).compute(properties["name"]) / "compute.json"
        if not path.is_file():
            raise NotFoundError(f"no compute {properties['name']}")
        declared, record = compute_spec(properties), compute.ComputeSpec.model_validate(read_json(path))
        return {"drift": _drift(declared, record) if declared else []}

    def delete(self, _id: str, _props: Properties) -> None:
        """Keep the record, but leave nothing at the place that nobody drives."""
        from trainstack.core.maintenance import orphans

        spec = compute_spec(_props)
        if spec is not None:
            with contextlib.suppress(WorkspaceNotFoundError):
                orphans.remove_all(workspace_of(_props), spec, log_of(_props).warn)

    def _ensure(self, props: Properties) -> Properties:
        spec = compute_spec(props)
        if spec is None:
            raise InvalidInputError("compute: an input is not known")
        existed = compute.ensure(workspace_of(props), spec)
        capacity = compute.node_capacity(spec)
        size = f"{counted(spec.max_nodes, 'node')} of {counted(capacity.cpus, 'CPU')}"
        log_of(props).info(f"{'found' if existed else 'created'}: up to {size}")
        # Without nulls: a refresh would take them out of the state, and leave another one.
        return with_workspace_id({**own(props), "node": capacity.model_dump(exclude_none=True), "drift": []})


def _check_driver(spec: compute.ComputeSpec, inputs: Properties) -> None:
    """Refuse a driver that would have no store to work with.

    Raises:
        InvalidInputError: There is a driver, and the workspace is in a folder.
    """
    root = inputs.get("workspace")
    if not known(root):
        return
    if spec.plugin.drives_runs(spec) and not address_in(Path(str(root))):
        raise InvalidInputError(
            f"compute {spec.name!r}: a driver in the cluster needs a workspace in an object store, which it can reach: "
            "give the workspace root='s3://BUCKET/FOLDER', or leave driver out",
            field="driver",
        )


def _drift(declared: compute.ComputeSpec, record: compute.ComputeSpec) -> list[str]:
    """The fields in which the record is not as declared, with the record's values."""
    if record.target != declared.target:
        return [f"target is {record.target}"]
    expected = _values(declared)
    return [f"{name} is {value}" for name, value in _values(record).items() if value != expected[name]]


def _values(spec: compute.ComputeSpec) -> Properties:
    """The values of a compute by the names of a program's arguments."""
    values = spec.model_dump(mode="json")
    config = values.pop("config")
    return {**values, **{f"{spec.target}.{name}": value for name, value in config.items()}}
