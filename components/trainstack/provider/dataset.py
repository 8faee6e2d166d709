"""Datasets: registered in the workspace, versioned by content."""

from __future__ import annotations

from trainstack.abbreviation import counted
from trainstack.core.datasets.expected import expect
from trainstack.core.datasets.in_place.object_source import is_address
from trainstack.core.datasets.spec import DatasetInputs, DatasetOutputs, DatasetSpec, local_digest, validate
from trainstack.errors import WorkspaceNotFoundError
from trainstack.provider.base import BaseProvider, Properties, absolute, known, log_of, parsed, validated, workspace_of


class DatasetProvider(BaseProvider, inputs=DatasetInputs):
    """A registered dataset."""

    def accept(self, news: Properties) -> Properties:
        """Check the sources, and digest local ones, so that preview sees when they change."""
        inputs = dict(news)
        spec = validated(DatasetSpec, _with_absolute_paths(inputs), "dataset")
        if spec is not None:
            validate(spec)
            if spec.local_paths:
                inputs["contents"] = local_digest(spec)
        return inputs

    def known_outputs(self, inputs: Properties) -> Properties:
        """The files' digests: of local content, of listed objects, and of what the workspace has from the addresses."""
        spec = validated(DatasetSpec, _with_absolute_paths(inputs), "dataset")
        if spec is None or not known(inputs["workspace"]):
            return {}
        try:
            workspace = workspace_of(inputs)
        except WorkspaceNotFoundError:
            workspace = None
        expected, log = expect(workspace, spec), log_of(inputs)
        if expected.changes:
            log.info(f"data in place: {expected.changes}")
        if expected.note:
            log.info(expected.note)
        return expected.outputs

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Register it: missing files are fetched, and those that a refresh saw changed at their source."""
        # Preview fetches nothing, so it does not load what does.
        from trainstack.core.datasets import dataset

        spec = parsed(DatasetInputs, _with_absolute_paths(inputs), f"dataset {inputs['name']}")
        log = log_of(inputs)
        drifted = bool(olds and olds.get("drift"))
        workspace = workspace_of(inputs)
        record = dataset.register(workspace, spec, log.progress, check_remote=drifted, objects=spec.objects)
        where = ", in place" if record.objects else ""
        log.info(f"version {record.version}: {counted(record.file_count, 'file')}, {record.size:,} bytes{where}")
        # What was listed, which may be newer than what preview saw.
        listed = {"objects": record.objects.digest} if record.objects else {}
        return {**inputs, **listed, **DatasetOutputs.of(workspace, record).model_dump()}

    def refresh(self, properties: Properties) -> Properties:
        """Ask the sources whether their files are still those that were registered."""
        # Loaded here for the same reason.
        from trainstack.core.datasets import dataset

        workspace = workspace_of(properties)
        record = dataset.find(workspace, properties["name"], int(properties["version"]))
        spec = validated(DatasetSpec, _with_absolute_paths(properties), "dataset")
        drift = dataset.find_drift(workspace, record, spec)
        dataset.mark_drift(workspace, record, drift)
        log = log_of(properties)
        for warning in drift.warnings:
            log.warn(warning)
        return {"drift": list(drift.differences)}


def _with_absolute_paths(properties: Properties) -> Properties:
    paths: list[object] | None = properties.get("paths")
    if not isinstance(paths, list):
        return properties
    located = [
        str(absolute(path)) if isinstance(path, str) and known(path) and not is_address(path) else path
        for path in paths
    ]
    return {**properties, "paths": located}
