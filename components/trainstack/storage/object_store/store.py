"""A workspace's store in an object store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from trainstack.errors import DigestMismatchError
from trainstack.storage import digest as digests
from trainstack.storage.object_store.address import checked_form
from trainstack.storage.object_store.conditional_writes import require_conditional_writes
from trainstack.storage.object_store.connection import connect
from trainstack.storage.object_store.errors import code_of, readable
from trainstack.storage.object_store.etag import etag_of
from trainstack.storage.object_store.ranged_download import download
from trainstack.storage.object_store.retry import Retry
from trainstack.storage.store import Entry, Item, Store, VersionConflictError, blob_digest, checked_key

T = TypeVar("T")
_FAILURES = (BaseError, OSError)
_PAGE = 1000
_PART = 8 << 20
_MOST_PARTS = 9_000


class ObjectStore(Store):
    """A folder of a bucket in S3, Google Cloud Storage or Azure.

    Records and content have connections of their own: a record's request is short, and is repeated here and not by
    obstore, because only who knows that it was repeated can tell a lost answer from another writer.
    """

    def __init__(self, address: str, *, patience: float = 60.0) -> None:
        """Use an address.

        Args:
            address: `s3://BUCKET/FOLDER`, `gs://…` or `az://…`.
            patience: Seconds for which a request that fails is repeated.

        Raises:
            InvalidInputError: The address has another form.
        """
        self.address = checked_form(address, "store").rstrip("/")
        self._patience = patience
        self._keeps_conditions = False

    @cached_property
    def _records(self) -> Any:
        return connect(self.address, timeout=timedelta(seconds=min(20.0, self._patience)), retries=0)

    @cached_property
    def _content(self) -> Any:
        return connect(self.address, timeout=timedelta(minutes=10), retries=6)

    def get(self, key: str) -> Entry:
        """Read a record."""

        def read() -> Entry:
            result = obstore.get(self._records, checked_key(key))
            return Entry(bytes(result.bytes()), etag_of(result.meta))

        return self._repeated(read, f"reading {key}")

    def create(self, key: str, data: bytes) -> str:
        """Write a record where there is none."""
        self._require_conditional_writes()
        return self._create(key, data)

    def replace(self, key: str, data: bytes, version: str) -> str:
        """Write over a version of a record."""
        self._require_conditional_writes()
        return self._replace(key, data, version)

    def put(self, key: str, data: bytes) -> str:
        """Write an object over what is there, and return its version."""
        return self._put(key, data, "overwrite", FileExistsError(key))

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        try:
            self._repeated(lambda: obstore.delete(self._records, [checked_key(key)]), f"removing {key}")
        except FileNotFoundError:
            return

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove objects, a thousand a request."""
        left = [checked_key(key) for key in keys]
        for start in range(0, len(left), _PAGE):
            batch = left[start : start + _PAGE]
            with contextlib.suppress(FileNotFoundError):
                self._repeated(partial(obstore.delete, self._records, batch), f"removing {batch[0]}")

    def list(self, prefix: str = "") -> Iterator[Item]:
        """Yield all objects below a folder."""
        retry = Retry(self._patience)
        last: str | None = None
        while True:
            try:
                listing: Any = obstore
                for page in listing.list(self._records, prefix or None, offset=last, chunk_size=_PAGE):
                    for entry in page:
                        modified = entry["last_modified"].timestamp()
                        yield Item(entry["path"], int(entry["size"]), etag_of(entry), modified)
                        last = entry["path"]
                    retry.reset()
            except _FAILURES as exc:
                if not retry.again(exc):
                    raise self._readable(exc, f"listing {prefix or 'it'}") from exc
            else:
                return

    def upload(self, path: Path, key: str) -> str:
        """Store a file as content, in parts where it is large."""
        digest = blob_digest(key)
        if digest and (actual := digests.of_file(path)) != digest:
            raise DigestMismatchError(f"{path} has SHA-256 {actual}, not {digest}: it is damaged")
        part = max(_PART, path.stat().st_size // _MOST_PARTS)
        result = self._repeated(
            lambda: obstore.put(self._content, checked_key(key), path, chunk_size=part, max_concurrency=8),
            f"uploading {key}",
        )
        return etag_of(result)

    def download(self, key: str, path: Path, digest: str | None = None) -> str:
        """Write content to a file, by ranges where it is large."""
        return self._repeated(
            lambda: download(self._content, checked_key(key), path, digest or blob_digest(key)), f"downloading {key}"
        )

    def _require_conditional_writes(self) -> None:
        if not self._keeps_conditions:
            require_conditional_writes(self.address, self._create, self._replace, self.delete)
            self._keeps_conditions = True

    def _create(self, key: str, data: bytes) -> str:
        return self._put(key, data, "create", FileExistsError(key))

    def _replace(self, key: str, data: bytes, version: str) -> str:
        return self._put(key, data, self._precondition(key, version), VersionConflictError(key))

    def _put(self, key: str, data: bytes, mode: Any, conflict: Exception) -> str:
        retry = Retry(self._patience)
        while True:
            try:
                return etag_of(obstore.put(self._records, checked_key(key), data, mode=mode, use_multipart=False))
            except _FAILURES as exc:
                if retry.again(exc):
                    continue
                if not isinstance(exc, AlreadyExistsError | PreconditionError) or code_of(exc) == "NoSuchBucket":
                    raise self._readable(exc, f"writing {key}") from exc
                if retry.count and (version := self._version_with(key, data)):
                    return version
                raise conflict from exc

    def _precondition(self, key: str, version: str) -> Any:
        """Return what obstore needs to write over a version: a generation in Google's store, else the ETag."""
        if not self.address.startswith("gs://"):
            return {"e_tag": version}
        try:
            meta = self._repeated(lambda: obstore.head(self._records, key), f"reading {key}")
        except FileNotFoundError as exc:
            raise VersionConflictError(key) from exc
        if etag_of(meta) != version:
            raise VersionConflictError(key)
        return {"e_tag": version, "version": meta["version"]}

    def _version_with(self, key: str, data: bytes) -> str:
        """Return the version of a record if it has these bytes, as after a request whose answer was lost."""
        try:
            entry = self.get(key)
        except FileNotFoundError:
            return ""
        return entry.version if entry.data == data else ""

    def _repeated(self, request: Callable[[], T], doing: str) -> T:
        retry = Retry(self._patience)
        while True:
            try:
                return request()
            except _FAILURES as exc:
                if not retry.again(exc):
                    raise self._readable(exc, doing) from exc

    def _readable(self, error: Exception, doing: str) -> Exception:
        """Return what to raise for an error of obstore."""
        if isinstance(error, FileNotFoundError) and code_of(error) != "NoSuchBucket":
            return FileNotFoundError(f"{self.address}: {doing}: it is not there")
        return readable(error, self.address, doing)
