"""Resources that a workspace has already: adopted as they are. Nothing is fetched, trained, registered or deleted.

`check` looks up which version is meant, so that preview fails when there is none and shows when it is another one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import BaseModel

from trainstack.core.datasets import dataset_record
from trainstack.core.datasets.spec import DatasetOutputs
from trainstack.core.models import model
from trainstack.core.models.model_record import ModelOutputs
from trainstack.core.properties import ResourceField
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError, WorkspaceNotFoundError
from trainstack.provider.base import BaseProvider, Properties, integral, known, log_of, workspace_of


class AdoptedInputs(BaseModel):
    """The inputs of an adopted resource.

    Attributes:
        workspace: The root of its workspace.
        name: The name that it is registered under.
        version_or_id: Its version, or a run's id; the newest when left out.
        version: The version that was found.
        digest: The digest of that version's files.
    """

    workspace: Annotated[str, ResourceField(change="replace")]
    name: Annotated[str, ResourceField(change="replace")]
    version_or_id: Annotated[int | str | None, ResourceField(change="ignore")] = None
    version: Annotated[int, ResourceField(source="check")] = 0
    digest: Annotated[str, ResourceField(source="check")] = ""


class AdoptedProvider(BaseProvider, ABC, inputs=AdoptedInputs):
    """A resource that exists in the workspace. Subclasses find it and read its outputs."""

    @abstractmethod
    def find(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Find what `version_or_id` names, the newest when it is left out.

        Returns:
            The properties that identify it.

        Raises:
            NotFoundError: There is none.
        """

    @abstractmethod
    def outputs(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Read the outputs of what was found.

        Raises:
            NotFoundError: It is gone.
        """

    def repair(self, workspace: Workspace, inputs: Properties) -> None:
        """Put back what drifted, where the workspace has a copy."""

    def accept(self, news: Properties) -> Properties:
        """Find it; inputs that preview does not know yet are looked up later."""
        if not known(news):
            return news
        try:
            return {**news, **self.find(workspace_of(news), news)}
        except (NotFoundError, WorkspaceNotFoundError) as exc:
            raise InvalidInputError(str(exc)) from exc

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Adopt it; on an update, repair it first where it drifted."""
        workspace = workspace_of(inputs)
        if olds and olds.get("drift"):
            self.repair(workspace, inputs)
        outputs = self.outputs(workspace, inputs)
        if olds is None:
            log_of(inputs).info("adopted from the workspace")
        return outputs

    def resource_id(self, outputs: Properties) -> str:
        """The run's id; the name of a dataset or model."""
        return str(outputs.get("run_id", outputs["name"]))

    def refresh(self, properties: Properties) -> Properties:
        """Look whether it is still there and whole."""
        return self.outputs(workspace_of(properties), properties)


class AdoptedDatasetProvider(AdoptedProvider):
    """A registered version of a dataset."""

    def find(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Find the version."""
        record = dataset_record.find(workspace, inputs["name"], integral(inputs.get("version_or_id")))
        return {"version": record.version, "digest": record.digest}

    def outputs(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Read the record; only the workspace's copies are checked for drift, not the sources."""
        record = dataset_record.find(workspace, inputs["name"], integral(inputs["version"]))
        blobs = workspace.blobs
        damaged = [f"{file.path} is gone or damaged" for file in record.files if not blobs.available(file.sha256)]
        if record.objects and not all(map(blobs.available, record.objects.shards)):
            return {**inputs, "drift": [*damaged, "its list of objects is gone or damaged"]}
        return {**inputs, **DatasetOutputs.of(workspace, record).model_dump(), "drift": damaged}


class AdoptedModelProvider(AdoptedProvider):
    """A registered version of a model."""

    def find(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Find the version."""
        record = model.find(workspace, inputs["name"], integral(inputs.get("version_or_id")))
        return {"version": record.version, "digest": record.digest}

    def outputs(self, workspace: Workspace, inputs: Properties) -> Properties:
        """Read the record, and compare the files with it."""
        record = model.find(workspace, inputs["name"], integral(inputs["version"]))
        return {**inputs, **ModelOutputs.of(record).model_dump(), "drift": model.find_drift(workspace, record)}

    def repair(self, workspace: Workspace, inputs: Properties) -> None:
        """Put its files back as they were registered."""
        model.restore(workspace, model.find(workspace, inputs["name"], integral(inputs["version"])))
