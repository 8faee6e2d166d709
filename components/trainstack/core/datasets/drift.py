"""Whether a registered dataset is still what its sources have, and whether the workspace still has it."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import httpx

from trainstack.core.datasets.answer_check import UnavailableError
from trainstack.core.datasets.changes import file_changes, in_words
from trainstack.core.datasets.dataset_record import DatasetFile, DatasetRecord, drift_mark
from trainstack.core.datasets.in_place.manifest import Manifest, identities_of, read_shards
from trainstack.core.datasets.local_files import local_files
from trainstack.core.datasets.remote_file import RemoteFile, find_change, open_client
from trainstack.core.datasets.sources import redacted_url
from trainstack.core.datasets.spec import DatasetSpec, local_digests
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, TrainstackError

_WORKERS = 4
# Refresh asks, it does not fetch: a source that is slower than this counts as not reachable.
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class Drift:
    """How a dataset's sources and stored files differ from its record, one line each.

    Attributes:
        differences: What is no longer as registered; registering again repairs it.
        warnings: What could not be checked.
    """

    differences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def find_drift(workspace: Workspace, record: DatasetRecord, spec: DatasetSpec | None = None) -> Drift:
    """Compare a registered version with its sources and with the workspace's copies.

    Nothing is downloaded: object stores are listed, and web sources are asked with the validators (ETag,
    Last-Modified) that they gave; where they gave none, only a different size shows. Local files are digested,
    unchanged ones from memory.

    Args:
        workspace: Where the copies are.
        record: The version.
        spec: Whose local paths to look at; by default those that the version was last registered from.
    """
    lines = [
        f"{file.path}: the workspace's copy is {'damaged' if workspace.blobs.path(file.sha256).exists() else 'gone'}"
        for file in record.files
        if not workspace.blobs.available(file.sha256)
    ]
    warnings: list[str] = []
    remote = [file for file in record.files if file.path in record.urls]
    if remote:
        with (
            open_client(connect=_CONNECT_SECONDS, stall=_ANSWER_SECONDS) as client,
            ThreadPoolExecutor(_WORKERS) as pool,
        ):
            answers = list(pool.map(partial(_check_remote, client), remote))
        for file, (difference, warning) in zip(remote, answers, strict=True):
            if difference:
                lines.append(f"{file.path} changed at {redacted_url(file.source)}: {difference}")
            if warning:
                warnings.append(f"{file.path} could not be checked at {redacted_url(file.source)}: {warning}")
    if record.objects:
        changes, objections = _check_objects(workspace, record.objects)
        lines += changes
        warnings += objections
    paths = spec.local_paths if spec is not None and not spec.append else record.paths
    if paths:
        try:
            lines += _check_local(paths, [file for file in record.files if file.path not in record.urls])
        except InvalidInputError as exc:
            warnings.append(f"local files could not be checked: {exc}")
    return Drift(tuple(lines), tuple(warnings))


def mark_drift(workspace: Workspace, record: DatasetRecord, drift: Drift) -> None:
    """Remember in the workspace whether a version's sources have something else, for previews of any stack."""
    mark = drift_mark(workspace, record)
    # Whoever may only read the workspace can look all the same; their own state tells them of the drift.
    with contextlib.suppress(OSError):
        if drift.differences:
            mark.touch()
        else:
            mark.unlink(missing_ok=True)


def _check_objects(workspace: Workspace, objects: Manifest) -> tuple[list[str], list[str]]:
    """Compare registered objects with a listing; returns differences, and what could not be checked."""
    if not all(map(workspace.blobs.available, objects.shards)):
        return ["the workspace's list of its objects is gone or damaged"], []
    # Loaded here: only those who have data in a store wait for its library.
    from trainstack.core.datasets.in_place.listing import ListingTooLongError, list_objects

    try:
        listed = list_objects(objects.sources, objects.datastores)
    except InvalidInputError as exc:
        return [str(exc)], []
    except (TrainstackError, ListingTooLongError) as exc:
        return [], [f"its objects could not be checked: {exc}"]
    before = identities_of(read_shards(workspace, objects.shards))
    changes = in_words(file_changes(before, identities_of(listed)))
    return ([f"objects at {', '.join(objects.sources)}: {changes}"] if changes else []), []


def _check_local(paths: tuple[str, ...], registered: list[DatasetFile]) -> list[str]:
    before = {file.path: file.sha256 for file in registered}
    now = local_digests(local_files(paths))
    lines = [f"{name} is gone from its folder" for name in before if name not in now]
    for name, (path, digest) in now.items():
        if name not in before:
            lines.append(f"{name} is new: {path}")
        elif before[name] != digest:
            lines.append(f"{name} changed: {path}")
    return lines


def _check_remote(client: httpx.Client, file: DatasetFile) -> tuple[str | None, str | None]:
    try:
        return find_change(client, RemoteFile(file.source, file.size, file.sha256, file.etag, file.last_modified)), None
    except UnavailableError as exc:
        return None, str(exc)
