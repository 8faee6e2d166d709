"""A bucket between a supervisor and its nodes: what they read is put there once, what they write passes through it.

The supervisor has the credentials, by the variables that all tools for S3 read (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`, `AWS_REGION`). Nodes only get signed addresses of single objects, for
a while. The library is loaded by the first use.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Generator, Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from trainstack.errors import InvalidInputError, TrainstackError

_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that name the server, the first that is set."""
_SIGNED_FOR = timedelta(hours=1)
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_CONTENT = "content/sha256"


def checked_url(url: str) -> str:
    """Return a store's address when its form is one that other machines can reach; no server is contacted.

    Raises:
        InvalidInputError: The form is wrong, or only this machine can reach its server.
    """
    checked_form(url, "object_store")
    check_endpoint(_endpoint(), f"object_store {url!r}")
    return url


def checked_form(url: str, field: str) -> str:
    """Return the address of a folder of a bucket when its form is right.

    Args:
        url: The address.
        field: Its name in the error.

    Raises:
        InvalidInputError: The form is wrong.
    """
    if not _URL.fullmatch(url):
        raise InvalidInputError(
            f"{field} {url!r} is no address of a bucket: write s3://BUCKET or s3://BUCKET/FOLDER", field=field
        )
    return url


def check_endpoint(endpoint: str, label: str) -> None:
    """Refuse a server that only this machine can reach.

    Args:
        endpoint: Its address; empty for Amazon's own.
        label: Its use, for the error.

    Raises:
        InvalidInputError: It is on the loopback.
    """
    if (urlsplit(endpoint).hostname or "") in ("localhost", "127.0.0.1", "::1"):
        raise InvalidInputError(
            f"{label}: AWS_ENDPOINT_URL is {endpoint}, which pods cannot reach: name an address of the "
            "server that the cluster's network knows",
            field="object_store",
        )


class ObjectStore:
    """A folder of a bucket. Creating this object contacts no server."""

    def __init__(self, url: str) -> None:
        """Use `s3://BUCKET/FOLDER`."""
        self.url = url

    @cached_property
    def _store(self) -> Any:
        from obstore.store import from_url

        options: Any = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(minutes=10)}
        endpoint = _endpoint()
        if endpoint.startswith("http://"):
            options["allow_http"] = True
        server: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
        retries: Any = _RETRIES
        return from_url(self.url, client_options=options, retry_config=retries, **server)

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
                if "NoSuchBucket" in str(exc):
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
            text = str(exc).partition("Debug source")[0]
            message = " ".join(text.split())[:400]
            raise TrainstackError(
                f"object store {self.url}: {doing}: {message}: check AWS_ENDPOINT_URL, the credentials and the bucket"
            ) from exc


def _endpoint() -> str:
    return next((value for name in ENDPOINTS if (value := os.environ.get(name))), "")
