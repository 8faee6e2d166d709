"""What registering a dataset will come to, as far as that is known without reading the web: for preview."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from trainstack.core.datasets.appending import merged
from trainstack.core.datasets.changes import file_changes, in_words
from trainstack.core.datasets.checks import check_files
from trainstack.core.datasets.dataset_record import (
    DatasetRecord,
    contents,
    drift_mark,
    find,
    latest_of_sources,
    object_files,
    versions,
)
from trainstack.core.datasets.in_place.manifest import Manifest, digest_of, identities_of, read_shards
from trainstack.core.datasets.in_place.preview import ListedNow, list_now
from trainstack.core.datasets.local_files import local_files
from trainstack.core.datasets.sources import check_unique_names
from trainstack.core.datasets.spec import LISTED_FILES, DatasetSpec, local_digests, version_digest
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError


@dataclass(frozen=True)
class Expected:
    """What a registration will come to.

    Attributes:
        outputs: What is known of its outputs: `digest`, `files`, `file_count`, `objects`, and `version` where the
            workspace has this content; empty where only the update can tell.
        changes: How the objects in stores differ from the version that the same addresses gave last, in words.
        note: What of the objects is not known, or to be minded.
    """

    outputs: dict[str, Any]
    changes: str = ""
    note: str = ""


def expect(workspace: Workspace | None, spec: DatasetSpec) -> Expected:
    """Look what a registration will give.

    Local files are digested, unchanged ones from memory. Web addresses are not asked: what was registered from the
    same addresses is taken for what they have, unless a refresh has seen that they have something else. Objects in
    stores are listed, in bounded time and requests.

    Args:
        workspace: Where the versions are; none where there is no workspace yet.
        spec: What is to be registered.

    Raises:
        InvalidInputError: A listing shows that an address has nothing, or what cannot be files; or a store refuses.
    """
    try:
        records = _records(workspace, spec.name) if workspace else []
        damaged = False
    except TrainstackError:
        # A damaged record is an error of the update, which says what to do about it.
        records, damaged = [], True
    registered = latest_of_sources(records, spec.sources)
    base = records[-1] if spec.append and records else None
    before = base.objects if base else registered.objects if registered else None
    listed = _listed(workspace, spec, registered, base)
    files = {name: digest for name, (_, digest) in local_digests(local_files(spec.local_paths)).items()}
    if listed.objects is not None:
        addresses = {entry.path: entry.address for entry in listed.objects}
        check_unique_names(spec.remote, local_files(spec.local_paths), {} if base else addresses)
    outputs = {"objects": listed.digest} if listed.digest else {}
    changes = _changes(workspace, before, listed)
    if damaged or (spec.addresses and listed.digest is None):
        return Expected(outputs, changes, listed.note)
    if spec.remote or (spec.addresses and listed.objects is None):
        if workspace is None or registered is None or not _holds(workspace, registered, spec):
            return Expected(outputs, changes, listed.note)
        files |= {file.path: file.sha256 for file in registered.files if file.path in spec.remote}
    if base and workspace:
        merged(base, contents(workspace, base), files)
        files = {**{file.path: file.sha256 for file in base.files}, **files}
    digest = version_digest(files, listed.digest)
    version = next((record.version for record in records if record.digest == digest), None)
    if listed.objects is not None and not files:
        check_files(spec.name, spec.checks, {entry.path: entry.size for entry in listed.objects})
    identities = identities_of(listed.objects or ())
    if base and base.objects and workspace and not spec.addresses and base.objects.count <= LISTED_FILES:
        identities = identities_of(object_files(workspace, base))
    count = len(files) + (before.count if before and listed.objects is None else len(identities))
    return Expected(
        {
            **outputs,
            "digest": digest,
            "files": {**files, **identities} if count <= LISTED_FILES else {},
            "file_count": count,
            **({"version": version} if version is not None else {}),
        },
        changes,
        listed.note,
    )


def _listed(
    workspace: Workspace | None, spec: DatasetSpec, registered: DatasetRecord | None, base: DatasetRecord | None
) -> ListedNow:
    """The objects that the version will have: those that are listed, after those of the version that is appended to."""
    if not spec.addresses:
        return ListedNow(base.objects.digest if base and base.objects else None)
    listed = list_now(spec.addresses, spec.datastores, registered.objects if registered else None)
    if base is None or workspace is None:
        return listed
    if listed.objects is None:
        # What the version of the same addresses has is all that there is only where nothing was appended since.
        return listed if registered == base else replace(listed, digest=None)
    old = object_files(workspace, base)
    merged(base, contents(workspace, base), identities_of(listed.objects))
    together = tuple({entry.path: entry for entry in (*listed.objects, *old)}.values())
    return replace(listed, digest=digest_of(together), objects=together)


def _changes(workspace: Workspace | None, before: Manifest | None, listed: ListedNow) -> str:
    if workspace is None or before is None or listed.objects is None or listed.digest == before.digest:
        return ""
    try:
        registered = identities_of(read_shards(workspace, before.shards))
    except TrainstackError:
        return ""
    return in_words(file_changes(registered, identities_of(listed.objects)))


def _records(workspace: Workspace, name: str) -> list[DatasetRecord]:
    return [find(workspace, name, version) for version in versions(workspace, name)]


def _holds(workspace: Workspace, record: DatasetRecord, spec: DatasetSpec) -> bool:
    """Whether a registration takes the version's remote files as they are."""
    if drift_mark(workspace, record).exists():
        return False
    remote = {file.path: file.sha256 for file in record.files if file.path in spec.remote}
    return remote.keys() == spec.remote.keys() and all(
        spec.promise(name).is_kept(workspace.blobs, digest) for name, digest in remote.items()
    )
