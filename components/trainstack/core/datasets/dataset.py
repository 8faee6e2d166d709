"""Datasets: files with a digest each, registered under a name and a version, stored once, linked into runs.

This module registers datasets, and exports the specs, records and drift checks of the modules beside it.
`docs/datasets.md` explains datasets to users.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from trainstack.abbreviation import abbreviated
from trainstack.core.datasets.contents import local_contents, remote_contents
from trainstack.core.datasets.dataset_record import (
    DatasetFile,
    DatasetRecord,
    drift_mark,
    find,
    latest_of_sources,
    lend_into,
    list_datasets,
    save,
    to_path,
    versions,
)
from trainstack.core.datasets.drift import Drift, find_drift, mark_drift
from trainstack.core.datasets.spec import DatasetSpec, local_digest, validate
from trainstack.core.workspace.version_numbers import last_purged
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage import locks

__all__ = [
    "DatasetFile",
    "DatasetRecord",
    "DatasetSpec",
    "Drift",
    "find",
    "find_drift",
    "lend_into",
    "list_datasets",
    "local_digest",
    "mark_drift",
    "register",
    "to_path",
    "validate",
]


def register(
    workspace: Workspace,
    spec: DatasetSpec,
    progress: Callable[[str], None] = lambda _: None,
    *,
    check_remote: bool = False,
) -> DatasetRecord:
    """Bring a dataset's files into the workspace and name them by a version.

    Sources that were registered before are not asked again, unless `check_remote` is set, and then only what changed
    is downloaded. Content that the dataset had before keeps its version; other content becomes the next one. May be
    called by any number of processes at once, and again after a kill at any point.

    Args:
        workspace: Where to keep it.
        spec: What to register.
        progress: Receives a line about the progress, at most a few times a second.
        check_remote: Whether to ask web sources, even of a dataset that is known, for changes.

    Returns:
        The version that has this content.

    Raises:
        InvalidInputError: As `validate`.
        DigestMismatchError: A file is not what was promised.
        TrainstackError: A file cannot be had, the content changed and the spec allows no new version, or the disk is
            full.
    """
    validate(spec)
    folder = workspace.dataset(spec.name)
    with (
        locks.shared(workspace.records_lock, lambda: progress("waiting for a removal from the workspace")),
        locks.exclusive(folder / ".lock", lambda: progress(f"waiting for another registration of {spec.name}")),
    ):
        workspace.blobs.sweep()
        registered = [find(workspace, spec.name, version) for version in versions(workspace, spec.name)]
        files = remote_contents(workspace, spec, registered, progress, check_remote=check_remote)
        files += local_contents(workspace, spec, progress)
        record = _save_version(workspace, spec, registered, tuple(sorted(files, key=lambda file: file.path)))
        if check_remote:
            for before in registered:
                drift_mark(workspace, before).unlink(missing_ok=True)
        return record


def _save_version(
    workspace: Workspace, spec: DatasetSpec, registered: list[DatasetRecord], files: tuple[DatasetFile, ...]
) -> DatasetRecord:
    """Find the version that has these files, and bring what describes it up to date, or make the next."""
    digest = digests.of_tree({file.path: file.sha256 for file in files})
    same = next((record for record in registered if record.digest == digest), None)
    if same is None and registered and not spec.create_new_version:
        raise TrainstackError(_changed_message(registered[-1], files))
    newest = max([last_purged(workspace.dataset(spec.name)), *(record.version for record in registered)])
    now = datetime.now(UTC).isoformat()
    fresh = DatasetRecord(
        name=spec.name,
        version=same.version if same else newest + 1,
        digest=digest,
        description=spec.description,
        tags=spec.tags,
        created=same.created if same else now,
        updated=same.updated if same else now,
        files=files,
        urls=spec.remote,
        paths=spec.paths,
        sources=spec.sources,
    )
    if same is not None:
        if fresh == same and same is latest_of_sources(registered, spec.sources):
            return same
        fresh = fresh.model_copy(update={"updated": now})
    save(workspace, fresh)
    return fresh


def _changed_message(before: DatasetRecord, files: tuple[DatasetFile, ...]) -> str:
    old = {file.path: file.sha256 for file in before.files}
    new = {file.path: file.sha256 for file in files}
    changed = sorted(name for name in old | new if old.get(name) != new.get(name))
    return (
        f"dataset {before.name!r} is no longer its version {before.version} ({abbreviated(changed, 3)} changed) and "
        "create_new_version is off: turn it on, or register under another name"
    )
