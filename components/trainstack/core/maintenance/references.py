"""What points to what in a workspace, which `docs/store.md` draws.

The readers here are strict: before anything without a reference is removed, every record must be readable, because a
damaged one may point to anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from trainstack.core.datasets import dataset_record
from trainstack.core.datasets.dataset_record import DatasetRecord
from trainstack.core.models import model
from trainstack.core.models.model_record import ModelRecord
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.events import record_from_events
from trainstack.core.runs.record import RunRecord, Status
from trainstack.core.runs.request import RunRequest
from trainstack.core.sweeps.record import SweepRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage.atomic import read_json

Record = TypeVar("Record")


def datasets(workspace: Workspace) -> Iterator[tuple[Path, DatasetRecord | TrainstackError]]:
    """Yield each registered version's record, or why it cannot be read."""
    for folder in sorted((workspace.root / "datasets").glob("*")):
        for version in dataset_record.versions(workspace, folder.name):
            try:
                yield folder / f"{version}.json", dataset_record.find(workspace, folder.name, version)
            except TrainstackError as exc:
                yield folder / f"{version}.json", exc


def models(workspace: Workspace) -> Iterator[tuple[Path, ModelRecord | TrainstackError]]:
    """Yield each registered version's record, or why it cannot be read."""
    for folder in sorted((workspace.root / "models").glob("*/*")):
        if folder.name.isdecimal():
            try:
                yield folder / "model.json", model.find(workspace, folder.parent.name, int(folder.name))
            except TrainstackError as exc:
                yield folder / "model.json", exc


def requests(workspace: Workspace) -> Iterator[tuple[Path, RunRequest | TrainstackError]]:
    """Yield each run's request, or why it cannot be read."""
    for path in sorted(workspace.runs.glob("*/spec.json")):
        try:
            yield path, RunRequest.model_validate(read_json(path))
        except (ValidationError, TrainstackError):
            yield path, TrainstackError(f"{path} is damaged: run `pulumi up`, which writes it anew")


def run_records(workspace: Workspace) -> Iterator[tuple[Path, RunRecord | TrainstackError]]:
    """Yield each run's record as it is written, or why it cannot be read."""
    for path in sorted(workspace.runs.glob("*/run.json")):
        directory = RunDirectory(path.parent)
        try:
            yield path, directory.read_file()
        except TrainstackError:
            advice = "`trainstack fsck --repair` writes it anew"
            if record_from_events(directory.root) is None:
                advice = "it has no history to be written anew from: run `pulumi up`, or move it away"
            yield path, TrainstackError(f"{path} is damaged: {advice}")


def unfinished(workspace: Workspace) -> Iterator[RunRequest]:
    """Yield the requests of runs that have not completed: they may start or go on at any time."""
    completed = {
        path.parent
        for path, record in run_records(workspace)
        if not isinstance(record, Exception) and record.status is Status.COMPLETED
    }
    for path, request in requests(workspace):
        if isinstance(request, RunRequest) and path.parent not in completed:
            yield request


def sweeps(workspace: Workspace) -> Iterator[tuple[Path, SweepRequest | TrainstackError]]:
    """Yield each sweep's request, or why it cannot be read."""
    for path in sorted((workspace.root / "sweeps").glob("*/spec.json")):
        try:
            yield path, SweepRequest.model_validate(read_json(path))
        except (ValidationError, TrainstackError):
            yield path, TrainstackError(f"{path} is damaged: run `pulumi up`, which writes it anew")


def blobs(workspace: Workspace) -> set[str]:
    """Return the digests that any record points to.

    Raises:
        TrainstackError: A record cannot be read, so it is not known what it points to.
    """
    digests: set[str] = set()
    for _, dataset in datasets(workspace):
        digests.update(_whole(dataset).blobs)
    for _, registered in models(workspace):
        digests.update(_whole(registered).files.values())
    for _, request in requests(workspace):
        digests.update(_whole(request).spec.files.values())
    for _, sweep in sweeps(workspace):
        digests.update(_whole(sweep).run.spec.files.values())
    for _, run in run_records(workspace):
        digests.update(_whole(run).outputs.values())
    return digests


def _whole(record: Record | TrainstackError) -> Record:
    if isinstance(record, TrainstackError):
        raise record
    return record
