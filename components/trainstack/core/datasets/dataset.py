"""Datasets: files with a digest each, registered under a name and a version, stored once, linked into runs.

This module registers datasets, and exports the specs, records and drift checks of the modules beside it.
`docs/datasets.md` explains datasets to users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from trainstack.abbreviation import abbreviated
from trainstack.core.datasets.appending import merged
from trainstack.core.datasets.changes import file_changes
from trainstack.core.datasets.checks import check_files
from trainstack.core.datasets.contents import local_contents, remote_contents
from trainstack.core.datasets.dataset_record import (
    DatasetFile,
    DatasetRecord,
    contents,
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
from trainstack.core.datasets.in_place.manifest import Manifest, identities_of, read_shards
from trainstack.core.datasets.sources import check_unique_names
from trainstack.core.datasets.spec import DatasetSpec, local_digest, validate, version_digest
from trainstack.core.workspace.version_numbers import last_purged
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks

__all__ = [
    "DatasetFile",
    "DatasetRecord",
    "DatasetSpec",
    "Drift",
    "contents",
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
    objects: str | None = None,
) -> DatasetRecord:
    """Bring a dataset's files into the workspace, but for those in object stores, and name them by a version.

    Sources that were registered before are not asked again, unless `check_remote` is set, and then only what changed
    is downloaded. Content that the dataset had before keeps its version; other content becomes the next one. May be
    called by any number of processes at once, and again after a kill at any point.

    Args:
        workspace: Where to keep it.
        spec: What to register.
        progress: Receives a line about the progress, at most a few times a second.
        check_remote: Whether to ask web sources and object stores, even of a dataset that is known, for changes.
        objects: The digest that a listing of its objects has; another than that of the version that the same addresses
            gave last has them listed again.

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
        before = registered[-1] if spec.append and registered else None
        old = contents(workspace, before) if before else {}
        files = remote_contents(workspace, spec, registered, progress, check_remote=check_remote)
        files += local_contents(workspace, spec, progress)
        manifest = _objects(
            workspace,
            spec,
            registered,
            files,
            progress,
            check_remote=check_remote,
            expected=objects,
            before=before,
            old=old,
        )
        if before:
            merged(before, old, {file.path: file.sha256 for file in files})
            files = list({file.path: file for file in (*before.files, *files)}.values())
        files.sort(key=lambda file: file.path)
        _check(workspace, spec, files, manifest)
        record = _save_version(workspace, spec, registered, tuple(files), manifest, before)
        if check_remote:
            for before in registered:
                drift_mark(workspace, before).unlink(missing_ok=True)
        return record


def _check(workspace: Workspace, spec: DatasetSpec, files: Sequence[DatasetFile], objects: Manifest | None) -> None:
    """Hold a version against what is declared of it, before it is one."""
    if spec.checks is not None:
        sizes = {file.path: file.size for file in files}
        sizes |= {entry.path: entry.size for entry in read_shards(workspace, objects.shards if objects else ())}
        check_files(spec.name, spec.checks, sizes)


def _objects(
    workspace: Workspace,
    spec: DatasetSpec,
    registered: list[DatasetRecord],
    files: Sequence[DatasetFile],
    progress: Callable[[str], None],
    *,
    check_remote: bool,
    expected: str | None,
    before: DatasetRecord | None,
    old: Mapping[str, str],
) -> Manifest | None:
    """The objects of the version; listed, unless a version of the same addresses has them.

    Args:
        workspace: Where the manifest is kept.
        spec: What is registered.
        registered: The dataset's versions.
        files: Its other files.
        progress: Receives a line about the progress.
        check_remote: Whether to list all the same.
        expected: The digest that a listing has had.
        before: The version that is appended to.
        old: What stands for its content, by path.
    """
    if not spec.addresses:
        return before.objects if before else None
    same = None if check_remote else latest_of_sources(registered, spec.sources)
    known = same.objects if same and before in (None, same) else None
    if known and expected in (None, known.digest) and all(map(workspace.blobs.available, known.shards)):
        return known if before else known.model_copy(update={"datastores": spec.datastores})
    # Loaded here: what is registered already needs no object store.
    from trainstack.core.datasets.in_place.registration import appended_objects, listed_objects, save_objects

    objects = listed_objects(spec.addresses, spec.datastores, progress)
    sources = {file.path: (file.source,) for file in files}
    check_unique_names(sources, [], {entry.path: entry.address for entry in objects})
    if before is None:
        return save_objects(workspace, objects, spec.addresses, spec.datastores)
    merged(before, old, identities_of(objects))
    return appended_objects(workspace, before.objects, objects, spec.addresses, spec.datastores)


def _save_version(
    workspace: Workspace,
    spec: DatasetSpec,
    registered: list[DatasetRecord],
    files: tuple[DatasetFile, ...],
    objects: Manifest | None,
    before: DatasetRecord | None,
) -> DatasetRecord:
    """Find the version that has these files, and bring what describes it up to date, or make the next."""
    digest = version_digest({file.path: file.sha256 for file in files}, objects.digest if objects else None)
    same = next((record for record in registered if record.digest == digest), None)
    if same is None and registered and not spec.create_new_version:
        raise TrainstackError(_changed_message(workspace, registered[-1], files, objects))
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
        objects=objects,
        urls={**(before.urls if before else {}), **spec.remote},
        paths=tuple(dict.fromkeys([*(before.paths if before else ()), *spec.local_paths])),
        sources=spec.sources,
        appended_to=same.appended_to if same else before.version if before else None,
    )
    if same is not None:
        if fresh == same and same is latest_of_sources(registered, spec.sources):
            return same
        fresh = fresh.model_copy(update={"updated": now})
    save(workspace, fresh)
    return fresh


def _changed_message(
    workspace: Workspace, before: DatasetRecord, files: tuple[DatasetFile, ...], objects: Manifest | None
) -> str:
    old = contents(workspace, before)
    new = {file.path: file.sha256 for file in files}
    if objects:
        new |= identities_of(read_shards(workspace, objects.shards))
    changed = sorted(name for names in file_changes(old, new).values() for name in names)
    return (
        f"dataset {before.name!r} is no longer its version {before.version} ({abbreviated(changed, 3)} changed) and "
        "create_new_version is off: turn it on, or register under another name"
    )
