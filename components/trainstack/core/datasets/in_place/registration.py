"""Register objects of a store from their listing; no byte of them is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from trainstack.core.datasets.in_place.datastore import DatastoreSpec, access_of
from trainstack.core.datasets.in_place.listing import NO_LIMIT, ListingTooLongError, check_file_names, list_objects
from trainstack.core.datasets.in_place.manifest import Manifest, ObjectFile, digest_of, read_shards, write_shards
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, TrainstackError

PINNED_OBJECTS = 2_000
"""A listing has no version ids: each takes a request of its own, so that larger datasets are not pinned."""
_AT_ONCE = 16


def listed_objects(
    addresses: Sequence[str], datastores: Sequence[DatastoreSpec], progress: Callable[[str], None]
) -> list[ObjectFile]:
    """List all objects of a dataset, with version ids where their buckets keep them.

    Raises:
        InvalidInputError: There are none, too many, or names that cannot be files.
        TrainstackError: A store refuses or does not answer.
    """
    progress(f"listing {addresses[0]}")
    try:
        objects = list_objects(addresses, datastores, NO_LIMIT, progress)
    except ListingTooLongError as exc:
        raise InvalidInputError(
            f"{addresses[0]} has more than {NO_LIMIT.objects:,} objects: name a folder or glob of fewer, or pack them "
            "into larger files such as TFRecords",
            field="paths",
        ) from exc
    check_file_names(objects)
    return pinned(objects, datastores)


def save_objects(
    workspace: Workspace,
    objects: Sequence[ObjectFile],
    addresses: Sequence[str],
    datastores: Sequence[DatastoreSpec],
    *,
    shared: Sequence[str] = (),
    before: Sequence[ObjectFile] = (),
) -> Manifest:
    """Write the manifest of a version; the caller holds the workspace's records lock.

    Args:
        workspace: Where to keep it.
        objects: The objects that no shard has yet.
        addresses: What they were listed from.
        datastores: How that is reached.
        shared: Shards of an earlier version that this one has too.
        before: The objects of these.
    """
    both = [*before, *objects]
    return Manifest(
        shards=(*shared, *write_shards(workspace, objects)),
        count=len(both),
        size=sum(entry.size for entry in both),
        digest=digest_of(both),
        sources=tuple(addresses),
        datastores=tuple(datastores),
    )


def appended_objects(
    workspace: Workspace,
    before: Manifest | None,
    objects: Sequence[ObjectFile],
    addresses: Sequence[str],
    datastores: Sequence[DatastoreSpec],
) -> Manifest:
    """Write the manifest of a version that shares all objects of an earlier one; the caller holds the records lock.

    Args:
        workspace: Where to keep it.
        before: The earlier version's; none where that has no objects.
        objects: What was listed; what the earlier version has of it is not kept again.
        addresses: What it was listed from.
        datastores: How that is reached.
    """
    if before is None:
        return save_objects(workspace, objects, addresses, datastores)
    old = list(read_shards(workspace, before.shards))
    names = {entry.path for entry in old}
    new = [entry for entry in objects if entry.path not in names]
    all_addresses = list(dict.fromkeys([*before.sources, *addresses]))
    # Of two with one root the later one says how it is reached now.
    stores = list({store.root: store for store in (*before.datastores, *datastores)}.values())
    return save_objects(workspace, new, all_addresses, stores, shared=before.shards, before=old)


def pinned(objects: list[ObjectFile], datastores: Sequence[DatastoreSpec]) -> list[ObjectFile]:
    """Return objects with their version ids, where the bucket keeps versions and they are not too many.

    Raises:
        TrainstackError: An object changed since it was listed.
    """
    of_bucket: dict[str, list[ObjectFile]] = {}
    for entry in objects:
        if not entry.version:
            of_bucket.setdefault(entry.bucket, []).append(entry)
    versions: dict[ObjectFile, str] = {}
    for bucket, entries in of_bucket.items():
        if len(entries) <= PINNED_OBJECTS:
            versions |= _versions(bucket, entries, datastores)
    return [entry._replace(version=versions.get(entry, entry.version)) for entry in objects] if versions else objects


def _versions(bucket: str, objects: Sequence[ObjectFile], datastores: Sequence[DatastoreSpec]) -> dict[ObjectFile, str]:
    """Ask for the version ids of a bucket's objects; the first one tells whether it keeps any."""
    import obstore
    from obstore.exceptions import BaseError

    from trainstack.storage.object_store.connection import connect
    from trainstack.storage.object_store.errors import readable
    from trainstack.storage.object_store.etag import etag_of

    access = access_of(objects[0].address, datastores)
    store = connect(bucket, timeout=timedelta(seconds=20), retries=6, access=access)

    def version(entry: ObjectFile) -> str:
        try:
            meta = obstore.head(store, entry.key)
        except FileNotFoundError as exc:
            raise _changed(entry) from exc
        except (BaseError, OSError) as exc:
            raise readable(exc, bucket, f"reading {entry.key}", access.endpoint, "list and read") from exc
        if etag_of(meta) != entry.etag:
            raise _changed(entry)
        return str(meta["version"] or "")

    first = version(objects[0])
    if first in ("", "null"):
        return {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rest = pool.map(version, objects[1:])
        return dict(zip(objects, [first, *rest], strict=True))


def _changed(entry: ObjectFile) -> TrainstackError:
    return TrainstackError(f"{entry.address} changed while it was being registered: run `pulumi up` again")
