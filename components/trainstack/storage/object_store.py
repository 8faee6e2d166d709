"""A bucket between home and nodes elsewhere: what they read is put there once, what they write passes through it.

Whoever drives a run has the credentials, by the variables that all tools for S3 know (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`, `AWS_REGION`). Nodes get addresses of single objects that are signed for a
while, and no more. The library is loaded by the first use.
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
_PATIENCE = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_CONTENT = "content/sha256"


def checked_url(url: str) -> str:
    """Return a store's address when it has the form of one that nodes elsewhere can reach, asking nobody.

    Raises:
        InvalidInputError: It has not, or its server is one that only this machine can reach.
    """
    checked_form(url, "object_store")
    check_endpoint(_endpoint(), f"object_store {url!r}")
    return url


def checked_form(url: str, field: str) -> str:
    """Return the address of a folder of a bucket when it has the form of one.

    Args:
        url: The address.
        field: What it is called, for the error.

    Raises:
        InvalidInputError: It has not.
    """
    if not _URL.fullmatch(url):
        raise InvalidInputError(
            f"{field} {url!r} is no address of a bucket: write s3://BUCKET or s3://BUCKET/FOLDER", field=field
        )
    return url


def check_endpoint(endpoint: str, what: str) -> None:
    """Refuse a server that only this machine can reach.

    Args:
        endpoint: Its address; empty for Amazon's own.
        what: What it is for, for the error.

    Raises:
        InvalidInputError: It is on the loopback.
    """
    if (urlsplit(endpoint).hostname or "") in ("localhost", "127.0.0.1", "::1"):
        raise InvalidInputError(
            f"{what}: AWS_ENDPOINT_URL is {endpoint}, which pods cannot reach: name an address of the "
            "server that the cluster's network knows",
            field="object_store",
        )


class ObjectStore:
    """A folder of a bucket. Making one reaches nobody."""

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
        place: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
        patience: Any = _PATIENCE
        return from_url(self.url, client_options=options, retry_config=patience, **place)

    def check(self) -> None:
        """Ask whether it answers and lets us in.

        Raises:
            TrainstackError: It does not.
        """
        self._there("check")

    def put_content(self, digest: str, chunks: Callable[[], Iterable[bytes]]) -> str:
        """Have some content in it, uploaded when it is not there.

        Args:
            digest: Its hex SHA-256.
            chunks: Gives it.

        Returns:
            An address that it can be read from for an hour.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        import obstore

        name = f"{_CONTENT}/{digest}"
        if not self._there(name):
            with self._errors("keeping what a run is given"):
                obstore.put(self._store, name, iter(chunks()))
        return self._signed("GET", name)

    def writing(self, name: str) -> str:
        """An address that an object can be written to for an hour."""
        return self._signed("PUT", name)

    def read(self, name: str) -> Generator[bytes]:
        """The content of an object.

        Raises:
            TrainstackError: The store refuses, does not answer, or has it not.
        """
        import obstore

        with self._errors(f"fetching {name}"):
            for piece in obstore.get(self._store, name).stream():
                yield bytes(piece)

    def remove(self, folder: str) -> int:
        """Remove all below a folder; gives how many objects there were.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        import obstore

        count = 0
        with self._errors(f"removing {folder}"):
            listing: Any = obstore
            for page in listing.list(self._store, f"{folder}/"):
                names = [str(each["path"]) for each in page]
                obstore.delete(self._store, names)
                count += len(names)
        return count

    def forget(self, name: str) -> None:
        """Remove an object, or leave it to `remove` where that cannot be done now."""
        import obstore

        with contextlib.suppress(Exception):
            obstore.delete(self._store, name)

    def _there(self, name: str) -> bool:
        import obstore

        with self._errors("looking what it has"):
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
            words = str(exc).partition("Debug source")[0]
            said = " ".join(words.split())[:400]
            raise TrainstackError(
                f"object store {self.url}: {doing}: {said}: check AWS_ENDPOINT_URL, the credentials and the bucket"
            ) from exc


def _endpoint() -> str:
    return next((found for name in ENDPOINTS if (found := os.environ.get(name))), "")
