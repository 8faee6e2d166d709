"""Datasets: registered in the workspace, versioned by content."""

from __future__ import annotations

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.datasets.dataset_record import DatasetRecord
from trainstack.core.datasets.spec import DatasetSpec, local_digest, validate
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.provider.base import BaseProvider, Properties, absolute, log_of, own, validated, workspace_of

# State lists each file up to this many; a larger dataset is named by its digest alone.
LISTED = 200


class DatasetProvider(BaseProvider):
    """A registered dataset."""

    content = ("urls", "paths", "contents", "sha256", "description", "tags")

    def accept(self, news: Properties) -> Properties:
        """Check the sources, and digest local ones, so that preview sees when they change."""
        inputs = dict(news)
        spec = self._spec(inputs)
        if spec is not None:
            validate(spec)
            if spec.paths:
                inputs["contents"] = local_digest(spec)
        return inputs

    def create(self, props: Properties) -> CreateResult:
        """Register it: files that the workspace does not have are fetched."""
        outs = self._register(own(props), check_remote=False)
        return CreateResult(props["name"], outs)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Register it again; what did not change at its source is not fetched."""
        return UpdateResult(self._register(own(_news), check_remote=True))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Ask the sources whether their files are still those that were registered."""
        from trainstack.core.datasets import dataset

        try:
            workspace = workspace_of(props)
            record = dataset.find(workspace, props["name"], int(props["version"]))
        except NotFoundError:
            return ReadResult("", {})
        log = log_of(props)
        found = dataset.find_drift(workspace, record, self._spec(own(props)))
        for warning in found.warnings:
            log.warn(warning)
        return ReadResult(id_, {**own(props), "drift": list(found.differences)})

    def _spec(self, props: Properties) -> DatasetSpec | None:
        located = dict(props)
        paths = located.get("paths")
        if isinstance(paths, list):
            located["paths"] = [str(absolute(path)) if isinstance(path, str) else path for path in paths]  # pyright: ignore[reportUnknownVariableType]
        return validated(DatasetSpec, located, "dataset")

    def _register(self, inputs: Properties, *, check_remote: bool) -> Properties:
        # Only what fetches needs what fetching needs; preview asks for the spec alone.
        from trainstack.core.datasets import dataset

        spec = self._spec(inputs)
        if spec is None:
            raise InvalidInputError(f"dataset {inputs['name']}: an input is not known")
        workspace: Workspace = workspace_of(inputs)
        log = log_of(inputs)
        record = dataset.register(workspace, spec, log.progress, check_remote=check_remote)
        log.info(f"version {record.version}: {len(record.files)} files, {record.size:,} bytes")
        return outputs(inputs, record)


def outputs(inputs: Properties, record: DatasetRecord) -> Properties:
    """What a dataset's resource says of it."""
    return {
        **inputs,
        "version": record.version,
        "digest": record.digest,
        "files": {file.path: file.sha256 for file in record.files} if len(record.files) <= LISTED else {},
        "file_count": len(record.files),
        "size": record.size,
        "drift": [],
    }
