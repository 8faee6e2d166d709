"""A bucket between a supervisor and its nodes: what they read is put there once, what they write passes through it.

The supervisor has the credentials. Nodes only get presigned addresses of single objects, for a while. The library is
loaded by the first use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any

from trainstack.storage.object_store.connection import connect
from trainstack.storage.object_store.errors import code_of, readable

_SIGNED_FOR = timedelta(hours=1)
_CONTENT = "content/sha256"


class PresignedStore:
    """A folder of a bucket. Creating this object contacts no server."""

    def __init__(self, url: str) -> None:
        """Use `s3://BUCKET/FOLDER`."""
        self.url = url

    @cached_property
    def _store(self) -> Any:
        return connect(self.url, timeout=timedelta(minutes=10), retries=3)

    def check(self) -> None:
        """Check that it answers and accepts the credentials.

        Raises:
            TrainstackError: It does not.
        """
        self._exists("check")

    def put_content(self, digest: str, chunks: Callable[[], Iterable[bytes]]) -> str:
        """Upload content unless the store has it.

        Args:
            digest: Its hex SHA-256.
            chunks: Returns its bytes.

        Returns:
            An address that serves it for an hour.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        import obstore

        name = f"{_CONTENT}/{digest}"
        if not self._exists(name):
            with self._errors("uploading a run's files"):
                obstore.put(self._store, name, iter(chunks()))
        return self._signed("GET", name)

    def write_url(self, name: str) -> str:
        """Return an address to which an object can be written for an hour."""
        return self._signed("PUT", name)

    def read(self, name: str) -> Generator[bytes]:
        """Yield the content of an object.

        Raises:
            TrainstackError: The store refuses, does not answer, or does not have it.
        """
        import obstore

        with self._errors(f"fetching {name}"):
            for piece in obstore.get(self._store, name).stream():
                yield bytes(piece)

    def remove(self, folder: str) -> int:
        """Remove everything below a folder, and return the number of objects.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        import obstore

        count = 0
        with self._errors(f"removing {folder}"):
            listing: Any = obstore
            for page in listing.list(self._store, f"{folder}/"):
                names = [str(entry["path"]) for entry in page]
                obstore.delete(self._store, names)
                count += len(names)
        return count

    def discard(self, name: str) -> None:
        """Try to remove an object; `remove` removes the rest."""
        import obstore

        with contextlib.suppress(Exception):
            obstore.delete(self._store, name)

    def _exists(self, name: str) -> bool:
        import obstore

        with self._errors("checking what it has"):
            try:
                obstore.head(self._store, name)
            except FileNotFoundError as exc:
                # The answer for a bucket that is not there is the same, but for its words.
                if code_of(exc) == "NoSuchBucket":
                    raise
                return False
        return True

    def _signed(self, method: Any, name: str) -> str:
        import obstore

        with self._errors("signing an address"):
            return obstore.sign(self._store, method, name, _SIGNED_FOR)

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Generator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as exc:
            raise readable(exc, self.url, doing) from exc
