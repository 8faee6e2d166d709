"""Read objects of a version: those that were registered, or none."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from trainstack.core.datasets.in_place.datastore import DatastoreSpec, access_of
from trainstack.core.datasets.in_place.manifest import ObjectFile
from trainstack.errors import TrainstackError

_PATIENCE = 60.0


class ObjectReader:
    """Reads objects into files, for any number of threads."""

    def __init__(self, label: str, datastores: Sequence[DatastoreSpec]) -> None:
        """Read the objects of a version.

        Args:
            label: The version, for messages.
            datastores: How its objects are reached.
        """
        self._label = label
        self._datastores = datastores
        self._stores: dict[tuple[str, Any], Any] = {}
        self._lock = threading.Lock()

    def read(self, entry: ObjectFile, path: Path) -> None:
        """Download an object to a file.

        Raises:
            TrainstackError: It is not what was registered any more, or the store refuses or does not answer.
        """
        from obstore.exceptions import BaseError

        from trainstack.storage.object_store.errors import code_of, readable
        from trainstack.storage.object_store.ranged_download import Expected, ObjectChangedError, download
        from trainstack.storage.object_store.retry import Retry

        access = access_of(entry.address, self._datastores)
        expected = Expected(entry.etag, entry.size, entry.version)
        retry = Retry(_PATIENCE)
        while True:
            try:
                download(self._store(entry.bucket, access), entry.key, path, None, expected=expected, durable=False)
            except ObjectChangedError as exc:
                raise self._changed(entry, str(exc)) from exc
            except (BaseError, OSError) as exc:
                if retry.again(exc):
                    continue
                if isinstance(exc, FileNotFoundError) and code_of(exc) != "NoSuchBucket":
                    raise self._changed(entry, "its version is gone" if entry.version else "it is gone") from exc
                raise readable(exc, entry.bucket, f"reading {entry.key}", access.endpoint, "read") from exc
            else:
                return

    def _store(self, bucket: str, access: Any) -> Any:
        from trainstack.storage.object_store.connection import connect

        with self._lock:
            if (bucket, access) not in self._stores:
                store = connect(bucket, timeout=timedelta(minutes=10), retries=3, access=access)
                self._stores[bucket, access] = store
            return self._stores[bucket, access]

    def _changed(self, entry: ObjectFile, change: str) -> TrainstackError:
        return TrainstackError(
            f"{entry.address} is not what {self._label} has any more ({change}): `pulumi refresh`, then `pulumi up` "
            "registers what is there now"
        )
