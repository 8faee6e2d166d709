"""What a workspace has already: adopted as it is. Nothing is fetched, trained, registered or deleted.

Which one is meant is looked up in `check`, so that preview fails when there is none and shows when it is another.
"""

from __future__ import annotations

from typing import ClassVar

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.datasets import dataset_record
from trainstack.core.models import model
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.provider import dataset as datasets
from trainstack.provider import model as models
from trainstack.provider.base import BaseProvider, Properties, gone_or, integral, known, log_of, own, workspace_of


class AdoptedProvider(BaseProvider):
    """Something that is there. Subclasses say how to find it, and what is known of it."""

    content: ClassVar[tuple[str, ...]] = ("version", "digest")

    def found(self, workspace: Workspace, inputs: Properties) -> Properties:
        """What says which one is meant; `wanted` is its version or id where the program gives one.

        Raises:
            NotFoundError: There is none.
        """
        raise NotImplementedError

    def state(self, workspace: Workspace, inputs: Properties) -> Properties:
        """All that is known of the one that was found.

        Raises:
            NotFoundError: It is gone.
        """
        raise NotImplementedError

    def accept(self, news: Properties) -> Properties:
        """Find it; a workspace that preview does not know yet is looked into later."""
        if not known(news):
            return news
        try:
            return {**news, **self.found(workspace_of(news), news)}
        except NotFoundError as exc:
            raise InvalidInputError(str(exc)) from exc

    def create(self, props: Properties) -> CreateResult:
        """Adopt it."""
        inputs = own(props)
        state = self.state(workspace_of(inputs), inputs)
        log_of(inputs).info("adopted from the workspace")
        return CreateResult(str(state.get("run_id", inputs["name"])), state)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Put back what drifted, where the workspace has a copy, and adopt what is found now."""
        inputs = own(_news)
        workspace = workspace_of(inputs)
        if _olds.get("drift"):
            self.repair(workspace, inputs)
        return UpdateResult(self.state(workspace, inputs))

    def repair(self, workspace: Workspace, inputs: Properties) -> None:
        """Put back what drifted."""

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Find out whether it is still there and whole."""
        inputs = own(props)
        return gone_or(lambda: self.state(workspace_of(inputs), inputs), id_)


class AdoptedDatasetProvider(AdoptedProvider):
    """A registered version of a dataset."""

    def found(self, workspace: Workspace, inputs: Properties) -> Properties:
        """The version that is wanted, or the newest."""
        record = dataset_record.find(workspace, inputs["name"], integral(inputs.get("version_or_id")))
        return {"version": record.version, "digest": record.digest}

    def state(self, workspace: Workspace, inputs: Properties) -> Properties:
        """What the record says; its sources are not asked, only the workspace's own copies are looked at."""
        record = dataset_record.find(workspace, inputs["name"], integral(inputs["version"]))
        lost = [f"{file.path} is gone or damaged" for file in record.files if not workspace.blobs.has(file.sha256)]
        return {**datasets.outputs(inputs, record), "drift": lost}


class AdoptedModelProvider(AdoptedProvider):
    """A registered version of a model."""

    def found(self, workspace: Workspace, inputs: Properties) -> Properties:
        """The version that is wanted, or the newest."""
        record = model.find(workspace, inputs["name"], integral(inputs.get("version_or_id")))
        return {"version": record.version, "digest": record.digest}

    def state(self, workspace: Workspace, inputs: Properties) -> Properties:
        """What the record says, and which files are not as it says."""
        record = model.find(workspace, inputs["name"], integral(inputs["version"]))
        return {**models.outputs(inputs, record), "drift": model.find_drift(workspace, record)}

    def repair(self, workspace: Workspace, inputs: Properties) -> None:
        """Put its files back as they were registered."""
        model.restore(workspace, model.find(workspace, inputs["name"], integral(inputs["version"])))
