"""Datasets: registered in the workspace, versioned by content."""

from __future__ import annotations

from trainstack.core.datasets.spec import DatasetInputs, DatasetOutputs, DatasetSpec, local_digest, validate
from trainstack.provider.base import BaseProvider, Properties, absolute, log_of, parsed, validated, workspace_of


class DatasetProvider(BaseProvider, inputs=DatasetInputs):
    """A registered dataset."""

    def accept(self, news: Properties) -> Properties:
        """Check the sources, and digest local ones, so that preview sees when they change."""
        inputs = dict(news)
        spec = validated(DatasetSpec, _with_absolute_paths(inputs), "dataset")
        if spec is not None:
            validate(spec)
            if spec.paths:
                inputs["contents"] = local_digest(spec)
        return inputs

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Register it: missing files are fetched, and on an update those that changed at their source."""
        # Preview fetches nothing, so it does not load what does.
        from trainstack.core.datasets import dataset

        spec = parsed(DatasetInputs, _with_absolute_paths(inputs), f"dataset {inputs['name']}")
        log = log_of(inputs)
        record = dataset.register(workspace_of(inputs), spec, log.progress, check_remote=olds is not None)
        log.info(f"version {record.version}: {len(record.files)} files, {record.size:,} bytes")
        return {**inputs, **DatasetOutputs.of(record).model_dump()}

    def refresh(self, properties: Properties) -> Properties:
        """Ask the sources whether their files are still those that were registered."""
        # Loaded here for the same reason.
        from trainstack.core.datasets import dataset

        workspace = workspace_of(properties)
        record = dataset.find(workspace, properties["name"], int(properties["version"]))
        spec = validated(DatasetSpec, _with_absolute_paths(properties), "dataset")
        drift = dataset.find_drift(workspace, record, spec)
        log = log_of(properties)
        for warning in drift.warnings:
            log.warn(warning)
        return {"drift": list(drift.differences)}


def _with_absolute_paths(properties: Properties) -> Properties:
    paths: list[object] | None = properties.get("paths")
    if not isinstance(paths, list):
        return properties
    return {**properties, "paths": [str(absolute(path)) if isinstance(path, str) else path for path in paths]}
