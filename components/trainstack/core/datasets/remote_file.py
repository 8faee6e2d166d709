"""A file at an address: how to request it, whether it changed, and why a request failed."""

from __future__ import annotations

import netrc
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx

from trainstack.core.datasets.answer_check import UnavailableError, check_redirect, check_type
from trainstack.core.datasets.sources import file_url_path
from trainstack.errors import TrainstackError

CONNECT_SECONDS = 10.0
STALL_SECONDS = 60.0


@dataclass(frozen=True)
class RemoteFile:
    """A file as one address gave it.

    Attributes:
        url: The address.
        size: Bytes.
        sha256: Hex SHA-256.
        etag: The server's ETag.
        last_modified: The server's Last-Modified.
    """

    url: str
    size: int
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


def open_client(*, connect: float = CONNECT_SECONDS, stall: float = STALL_SECONDS) -> httpx.Client:
    """An HTTP client for any number of threads: takes bytes as they are, knows `~/.netrc`.

    It follows redirects, but never from https to http.

    Args:
        connect: Seconds to wait for a connection.
        stall: Seconds without a byte after which a connection counts as broken.
    """
    try:
        auth = httpx.NetRCAuth()
    except FileNotFoundError:
        auth = None
    except netrc.NetrcParseError as exc:
        raise TrainstackError(f"~/.netrc cannot be read: {exc}") from exc
    return httpx.Client(
        auth=auth,
        follow_redirects=True,
        timeout=httpx.Timeout(stall, connect=connect),
        headers={"Accept-Encoding": "identity", "User-Agent": "trainstack"},
        event_hooks={"response": [check_redirect]},
    )


def find_change(client: httpx.Client, file: RemoteFile) -> str | None:
    """Ask an address, without downloading, whether its file is still the one that it gave.

    Returns:
        What is different; none when nothing is, as far as the server lets one know.

    Raises:
        UnavailableError: It cannot be asked.
    """
    path = file_url_path(file.url)
    if path is not None:
        return None if file_validator(path) == file.etag else "its time or size changed"
    try:
        response = client.head(file.url, headers=conditional_headers(file))
        if response.status_code in (400, 403, 405, 501):
            # Some servers, and addresses signed for GET, refuse HEAD.
            with client.stream("GET", file.url, headers=conditional_headers(file)) as response:
                pass
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise UnavailableError(failure_reason(exc)) from exc
    if response.status_code == 304:
        return None
    if response.status_code != 200:
        raise UnavailableError(f"{response.status_code} {response.reason_phrase}".strip())
    if file.etag is None or response.headers.get("ETag") != file.etag:
        check_type(file.url, response)
    for header, before in (("ETag", file.etag), ("Last-Modified", file.last_modified)):
        after = response.headers.get(header)
        if before is not None and after is not None:
            same = before.removeprefix("W/") == after.removeprefix("W/")
            return None if same else f"its {header} was {before}, is {after}"
    size = response.headers.get("Content-Length")
    return None if size in (None, str(file.size)) else f"its size was {file.size:,} bytes, is {int(size):,}"


def failure_reason(error: Exception) -> str:
    """The reason of a failed request, in a few words."""
    cause = root_cause(error)
    match cause:
        case ConnectionRefusedError():
            return "connection refused"
        case socket.gaierror():
            return "host name not found"
        case ssl.SSLCertVerificationError():
            return f"certificate not trusted ({cause.verify_message})"
        case _:
            pass
    match error:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.TimeoutException():
            return "no more bytes in time"
        case httpx.TooManyRedirects():
            return "redirected in circles"
        case httpx.RemoteProtocolError():
            return "the connection broke"
        case _:
            return str(error).splitlines()[0] if str(error) else type(error).__name__


def root_cause(error: BaseException) -> BaseException:
    """The operating system's or TLS's error that a client's error hides; the error itself when there is none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def conditional_headers(file: RemoteFile) -> dict[str, str]:
    """Headers of a conditional request, which is answered only when the file has changed."""
    headers: dict[str, str] = {}
    if file.etag:
        headers["If-None-Match"] = file.etag
    if file.last_modified:
        headers["If-Modified-Since"] = file.last_modified
    return headers


def file_validator(path: Path) -> str:
    """The counterpart of an ETag for a local file: its size and time.

    Raises:
        UnavailableError: There is no such file.
    """
    try:
        status = path.stat()
    except OSError as exc:
        raise UnavailableError(exc.strerror or str(exc)) from exc
    return f"{status.st_size}-{status.st_mtime_ns}"
