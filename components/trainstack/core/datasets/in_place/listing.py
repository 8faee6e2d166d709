"""List objects, without reading one, and check their names."""

from __future__ import annotations

import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from trainstack.core.datasets.in_place.datastore import DatastoreSpec, access_of
from trainstack.core.datasets.in_place.manifest import ObjectFile
from trainstack.core.datasets.in_place.object_source import ObjectSource, object_source
from trainstack.core.datasets.sources import check_name
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.storage.object_store.access import StoreAccess
from trainstack.storage.object_store.etag import etag_of

MOST_OBJECTS = 1_000_000
_PAGE = 1000
_RIGHTS = "list and read"
_BAD_PATH = re.compile(r'[Pp]ath "((?:[^"\\]|\\.)*)"', re.DOTALL)


class ListingTooLongError(Exception):
    """There are more objects than may be listed now, or the store takes too long."""


@dataclass(frozen=True)
class Limit:
    """How much may be listed.

    Attributes:
        objects: How many objects may be looked at, those that a glob leaves out among them.
        seconds: How long it may take.
        patience: Seconds for which a request that fails is repeated.
    """

    objects: int = MOST_OBJECTS
    seconds: float = float("inf")
    patience: float = 60.0


NO_LIMIT = Limit()


class _Budget:
    """What is left of a limit, for all sources of a dataset together."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._left = limit.objects
        self._deadline = time.monotonic() + limit.seconds

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0 or time.monotonic() > self._deadline:
            raise ListingTooLongError


def list_objects(
    addresses: Sequence[str],
    datastores: Sequence[DatastoreSpec],
    limit: Limit = NO_LIMIT,
    progress: Callable[[str], None] = lambda _: None,
) -> list[ObjectFile]:
    """List what addresses stand for, each by its name in the dataset; no object is read.

    Args:
        addresses: Objects, folders and globs.
        datastores: How they are reached.
        limit: How much may be listed.
        progress: Receives a line a page.

    Returns:
        The objects, sorted by name.

    Raises:
        InvalidInputError: An address has nothing, or names that cannot be files.
        TrainstackError: A store refuses.
        StoreUnreachableError: A store does not answer.
        ListingTooLongError: The limit is reached.
    """
    budget = _Budget(limit)
    objects: dict[str, ObjectFile] = {}
    for address in addresses:
        listed = _source_objects(object_source(address), access_of(address, datastores), budget)
        for count, entry in enumerate(listed, 1):
            if objects.setdefault(entry.path, entry).address != entry.address:
                raise InvalidInputError(
                    f"{objects[entry.path].address} and {entry.address} would both be the file {entry.path!r}: give a "
                    "folder that holds both, or make two datasets",
                    field="paths",
                )
            if count % _PAGE == 0:
                progress(f"listing {address}: {count:,} objects")
    return [objects[name] for name in sorted(_without_markers(objects))]


def same_without_case(names: Sequence[str]) -> tuple[str, str] | None:
    """Return two names that are one file where a file system does not tell upper from lower case, or two forms of é."""
    seen: dict[str, str] = {}
    for name in names:
        folded = name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
        if seen.setdefault(folded, name) != name:
            return seen[folded], name
    return None


def check_file_names(objects: Sequence[ObjectFile]) -> None:
    """Check that the names can be files of this machine.

    Raises:
        InvalidInputError: One cannot, or two would be one.
    """
    for entry in objects:
        check_name(entry.path, entry.address, "paths")
    if sys.platform in ("darwin", "win32") and (pair := same_without_case([entry.path for entry in objects])):
        raise InvalidInputError(
            f"{pair[0]!r} and {pair[1]!r} would be one file on this machine, whose disk does not tell upper from lower "
            "case: rename one, or leave it out by a glob",
            field="paths",
        )


def _source_objects(source: ObjectSource, access: StoreAccess, budget: _Budget) -> Iterator[ObjectFile]:
    """Yield the objects of a source.

    Raises:
        InvalidInputError: It has none, though its bucket is there.
    """
    store = _Bucket(source.bucket, access, budget)
    matched = False
    for entry in store.below(source.key):
        key = str(entry["path"])
        if key == source.key:
            # What some tools put there to show an empty folder.
            continue
        name = source.name_of(key)
        if source.matches(name):
            matched = True
            yield _object(name, source, entry)
    if not matched and not source.is_folder and (entry := store.head(source.key)) is not None:
        matched = True
        yield _object(source.key.rpartition("/")[2], source, entry)
    if not matched:
        raise InvalidInputError(_nothing_there(source), field="paths")


def _object(name: str, source: ObjectSource, entry: Any) -> ObjectFile:
    etag = etag_of(entry)
    if not etag:
        raise InvalidInputError(
            f"{source.bucket} gives no ETag of {entry['path']!r}, so that nobody would notice when it is overwritten: "
            "register a copy on this machine's disk",
            field="paths",
        )
    return ObjectFile(name, source.bucket, str(entry["path"]), int(entry["size"]), etag, str(entry["version"] or ""))


def _nothing_there(source: ObjectSource) -> str:
    if source.pattern:
        return f"no object matches {source.address!r}: mind that '*' stays in one folder, '**' goes below it"
    kind = "object below" if source.is_folder else "object or folder"
    return f"no {kind} {source.address!r}: check the address, which tells upper from lower case"


def _without_markers(objects: dict[str, ObjectFile]) -> list[str]:
    """Return the names but for empty objects that stand for a folder, whose key ends with a slash."""
    empty = {name for name, entry in objects.items() if entry.size == 0}
    if not empty:
        return list(objects)
    folders = set[str]()
    for name in objects:
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return [name for name in objects if name not in empty or name not in folders]


class _Bucket:
    """A bucket that is listed."""

    def __init__(self, bucket: str, access: StoreAccess, budget: _Budget) -> None:
        from trainstack.storage.object_store.connection import connect

        self._bucket, self._access, self._budget = bucket, access, budget
        self._patience = budget.limit.patience
        seconds = min(20.0, self._patience)
        self._store = connect(bucket, timeout=timedelta(seconds=seconds), retries=0, access=access)

    def below(self, folder: str) -> Iterator[Any]:
        """Yield what is below a folder."""
        import obstore
        from obstore.exceptions import BaseError

        from trainstack.storage.object_store.retry import Retry

        listing: Any = obstore
        retry, last = Retry(self._patience), None
        while True:
            try:
                for page in listing.list(self._store, folder or None, offset=last, chunk_size=_PAGE):
                    self._budget.spend(len(page))
                    yield from page
                    last = page[-1]["path"]
                    retry.reset()
            except (BaseError, OSError) as exc:
                if not retry.again(exc):
                    raise self._readable(exc, f"listing {folder or 'it'}") from exc
            else:
                return

    def head(self, key: str) -> Any:
        """Return what the store says of one object; none where it is not there."""
        import obstore
        from obstore.exceptions import BaseError

        from trainstack.storage.object_store.errors import code_of
        from trainstack.storage.object_store.retry import Retry

        retry = Retry(self._patience)
        while True:
            try:
                return obstore.head(self._store, key)
            except (BaseError, OSError) as exc:
                if retry.again(exc):
                    continue
                if isinstance(exc, FileNotFoundError) and code_of(exc) != "NoSuchBucket":
                    return None
                raise self._readable(exc, f"looking for {key}") from exc

    def _readable(self, error: Exception, doing: str) -> TrainstackError:
        from trainstack.storage.object_store.errors import readable

        if "invalid path" in str(error):
            match = _BAD_PATH.search(str(error))
            key = f"{self._bucket}/{match[1]}" if match else self._bucket
            return InvalidInputError(
                f"the key {key!r} cannot be a file: it has an empty part ('//'), '.', '..' or a control character; "
                "rename the object, or leave it out by a folder beside it",
                field="paths",
            )
        refused = readable(error, self._bucket, doing, self._access.endpoint, _RIGHTS)
        if "is not allowed with these credentials" in str(refused):
            if self._access.anonymous:
                return TrainstackError(f"{self._bucket}: {doing} is not allowed without credentials: drop anonymous")
            if self._bucket.startswith("s3://") and not self._access.requester_pays:
                return TrainstackError(f"{refused}, or set requester_pays=True where its readers pay")
        return refused
