"""Promote a model from another workspace, byte for byte: one stack trains it, another serves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, ValidationError

from trainstack.abbreviation import counted
from trainstack.core.models.model import list_models, register
from trainstack.core.models.model_record import ModelRecord, ModelSpec
from trainstack.core.models.source import source_digest
from trainstack.core.properties import ResourceField
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import DigestMismatchError, NotFoundError, TrainstackError
from trainstack.storage.atomic import read_json

TAG = "promoted-from"


class Promotion(BaseModel):
    """A version of a model as the stack that made it exports it (`model.summary`).

    Attributes:
        name: Its name there.
        version: Its version there.
        digest: SHA-256 over its files, which promises them.
        path: The folder of its files, absolute.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    name: str
    version: int
    digest: str
    path: str


class PromotionInputs(BaseModel):
    """The inputs of a promoted model's resource.

    Attributes:
        workspace: The root of the workspace that gets it.
        name: The name to register it under.
        promoted: The other stack's `model.summary`; its digest says whether it is another one.
        alias: Names for versions: a number, or `latest`.
        digest: The digest that the summary promises.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    workspace: Annotated[str, ResourceField(change="replace")]
    name: Annotated[str, ResourceField(change="replace")]
    promoted: Annotated[Promotion, ResourceField(change="ignore")]
    alias: dict[str, int | str] = {}
    digest: Annotated[str, ResourceField(source="check")] = ""


def find_promoted(workspace: Workspace, name: str, digest: str) -> ModelRecord | None:
    """The newest version of a model in a workspace that has these very files; none where none has."""
    records = [record for record in list_models(workspace) if record.name == name and record.digest == digest]
    return records[-1] if records else None


def read_source(promotion: Promotion) -> ModelRecord:
    """Read the model's record in the workspace that made it.

    Raises:
        NotFoundError: It cannot be read from this machine.
        DigestMismatchError: There is another model in its place.
    """
    folder = Path(promotion.path)
    where = f"model {promotion.name} version {promotion.version}"
    try:
        record = ModelRecord(**read_json(folder.parent / "model.json"), path=promotion.path)
    except (OSError, ValidationError, TypeError) as exc:
        raise NotFoundError(
            f"{where} is not at {folder}: promotion copies from the workspace of the stack that made it, so run it "
            "where that folder can be read"
        ) from exc
    if record.digest != promotion.digest:
        raise DigestMismatchError(f"{where} at {folder} is {record.digest[:12]}, not {promotion.digest[:12]}")
    return record


def promote(workspace: Workspace, name: str, promotion: Promotion, progress: Callable[[str], None]) -> ModelRecord:
    """Register the same files in a workspace, or find the version that has them.

    A version that has them already is taken as it is, whether or not it is the newest: going back makes no new version.

    Args:
        workspace: The workspace to promote into.
        name: The name to register under.
        promotion: What to promote.
        progress: Receives a line about the progress.

    Raises:
        NotFoundError: The model cannot be read from this machine.
        DigestMismatchError: Its bytes are not those that were promised; nothing is registered.
    """
    if (record := find_promoted(workspace, name, promotion.digest)) is not None:
        progress(f"version {record.version} holds these files already")
        return record
    original = read_source(promotion)
    progress(f"checking {counted(len(original.files), 'file')}")
    if (digest := source_digest(Path(promotion.path))) != promotion.digest:
        raise DigestMismatchError(
            f"the files at {promotion.path} are {digest[:12]}, not {promotion.digest[:12]} as registered: "
            "`trainstack fsck` there says which, `pulumi refresh` and `pulumi up` of its stack put them back"
        )
    description = original.model_dump(include=set(ModelSpec.model_fields) - {"name", "tags"})
    tags = {**original.tags, TAG: f"{promotion.name} version {promotion.version}"}
    return register(workspace, ModelSpec(name=name, tags=tags, **description), Path(promotion.path), progress=progress)


def metrics(promotion: Promotion) -> dict[str, float]:
    """The metrics of the run that made the model, where its workspace can be read; empty elsewhere."""
    try:
        run_id = read_source(promotion).run_id
        root = Path(promotion.path).parents[3]
        return RunDirectory(Workspace.open(root).run(run_id)).read().metrics if run_id else {}
    except (TrainstackError, IndexError):
        return {}
