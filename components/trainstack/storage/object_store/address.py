"""Addresses of object stores: `s3://BUCKET/FOLDER`, `gs://BUCKET/FOLDER`, `az://CONTAINER/FOLDER`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from trainstack.errors import InvalidInputError

SCHEMES = ("s3", "gs", "az")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that name an S3 server other than Amazon's, the first that is set."""
_ADDRESS = re.compile(r"(?:s3|gs|az)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?")


def checked_form(url: str, field: str, schemes: tuple[str, ...] = SCHEMES) -> str:
    """Return the address of a folder of a bucket when its form is right; no server is contacted.

    Args:
        url: The address.
        field: Its name in the error.
        schemes: Which stores it may be in.

    Raises:
        InvalidInputError: The form is wrong.
    """
    if not _ADDRESS.fullmatch(url) or urlsplit(url).scheme not in schemes or "//" in urlsplit(url).path:
        forms = " or ".join(f"{scheme}://BUCKET/FOLDER" for scheme in schemes)
        raise InvalidInputError(f"{field} {url!r} is no address of a bucket: write {forms}", field=field)
    return url


def address_in(path: Path) -> str:
    """Return the address that was written where a folder belongs, such as `s3://bucket`; empty for a folder's path."""
    for number, part in enumerate(path.parts):
        if part.removesuffix(":") in SCHEMES and part.endswith(":"):
            return f"{part}//{'/'.join(path.parts[number + 1 :])}"
    return ""


def checked_for_pods(url: str, field: str) -> str:
    """Return an address when it is one that pods can reach; no server is contacted.

    Raises:
        InvalidInputError: The form is wrong, or only this machine can reach its server.
    """
    if urlsplit(checked_form(url, field)).scheme == "s3":
        check_endpoint(endpoint(), f"{field} {url!r}")
    return url


def check_endpoint(server: str, label: str) -> None:
    """Refuse a server that only this machine can reach.

    Args:
        server: Its address; empty for Amazon's own.
        label: Its use, for the error.

    Raises:
        InvalidInputError: It is on the loopback.
    """
    if (urlsplit(server).hostname or "") in ("localhost", "127.0.0.1", "::1"):
        raise InvalidInputError(
            f"{label}: AWS_ENDPOINT_URL is {server}, which pods cannot reach: name an address of the "
            "server that the cluster's network knows",
            field="root",
        )


def endpoint() -> str:
    """Return the S3 server that the environment names; empty for Amazon's own."""
    return next((value for name in ENDPOINTS if (value := os.environ.get(name))), "")
