"""One file from its mirrors: resumed, retried, digested on its way into the blob store."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_after_attempt

from trainstack.core.datasets.answer_check import UnavailableError, check_beginning, check_headers
from trainstack.core.datasets.partial_file import PartialFile
from trainstack.core.datasets.promise import Promise
from trainstack.core.datasets.remote_file import (
    RemoteFile,
    conditional_headers,
    failure_reason,
    file_validator,
    root_cause,
)
from trainstack.core.datasets.sources import file_url_path, redacted_url
from trainstack.errors import DigestMismatchError, TrainstackError
from trainstack.storage.blobs import BlobStore

TRIES = 4
BACKOFF_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
_NO_PROMISE = Promise()


class StoppedError(Exception):
    """The download was called off because another one failed."""


class _AgainError(Exception):
    """It may work if tried again, after so many seconds where the server says so."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class _MismatchError(UnavailableError):
    """The address serves other bytes than those promised."""


def fetch(
    client: httpx.Client,
    name: str,
    urls: Sequence[str],
    blobs: BlobStore,
    *,
    earlier: RemoteFile | None = None,
    promise: Promise = _NO_PROMISE,
    report: Callable[[int, int | None], None] = lambda _done, _size: None,
    stopped: threading.Event | None = None,
) -> RemoteFile:
    """Bring a file into the blob store from the first mirror that has it.

    Args:
        client: From `open_client`.
        name: The file's name, for messages.
        urls: Its mirrors, in order.
        blobs: Where its bytes go.
        earlier: What an earlier download found, its blob being there: not downloaded again when the server says that
            it is still the same.
        promise: What it must be.
        report: Told bytes so far and, where known, in all.
        stopped: Set by somebody else to call the download off; what is there is kept for the next time.

    Raises:
        DigestMismatchError: The mirrors have other bytes than those promised.
        TrainstackError: No mirror gives the file, or the disk is full.
        StoppedError: It was called off.
    """
    stopped = stopped or threading.Event()
    if earlier is not None and not promise.is_kept(blobs, earlier.sha256):
        earlier = None
    # The address that gave it before is the one that can say whether it changed.
    order = sorted(urls, key=lambda url: earlier is None or url != earlier.url)
    failures: list[tuple[str, UnavailableError]] = []
    for url in order:
        try:
            here = earlier if earlier is not None and earlier.url == url else None
            path = file_url_path(url)
            if path is not None:
                return _copy(path, url, blobs, here, promise)
            return _download(client, url, blobs, here, promise, report, stopped)
        except UnavailableError as exc:
            failures.append((redacted_url(url), exc))
    reasons = "; ".join(f"{url}: {failure}" for url, failure in failures)
    if all(isinstance(failure, _MismatchError) for _, failure in failures):
        raise DigestMismatchError(
            f"{name} is not what was promised: {reasons}; correct sha256 or magic in the program, or the address"
        )
    raise TrainstackError(
        f"cannot download {name}: {reasons}; check the address and the network, or name another mirror"
    )


def _download(
    client: httpx.Client,
    url: str,
    blobs: BlobStore,
    earlier: RemoteFile | None,
    promise: Promise,
    report: Callable[[int, int | None], None],
    stopped: threading.Event,
) -> RemoteFile:
    retrying = Retrying(
        stop=stop_after_attempt(TRIES),
        wait=_wait,
        retry=retry_if_exception_type(_AgainError),
        sleep=sleep_using_event(stopped),
        reraise=True,
    )
    with PartialFile(blobs, url) as partial:
        try:
            return retrying(_attempt, client, url, partial, earlier, promise, report, stopped)
        except _AgainError as exc:
            raise UnavailableError(str(exc)) from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise UnavailableError(failure_reason(exc)) from exc


def _attempt(
    client: httpx.Client,
    url: str,
    partial: PartialFile,
    earlier: RemoteFile | None,
    promise: Promise,
    report: Callable[[int, int | None], None],
    stopped: threading.Event,
) -> RemoteFile:
    if stopped.is_set():
        raise StoppedError
    start = partial.resume_from
    if start:
        headers = {"Range": f"bytes={start}-", "If-Range": partial.validator or ""}
    else:
        headers = conditional_headers(earlier) if earlier else {}
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == 304 and earlier is not None and not start:
                return earlier
            total = _begin(response, partial, start)
            check_headers(url, response)
            partial.expect(total, f"the download of {redacted_url(url)}")
            resumed = response.status_code == 206
            for chunk in response.iter_raw():
                if stopped.is_set():
                    raise StoppedError
                if partial.size == 0:
                    check_beginning(url, response, chunk)
                partial.write(chunk)
                report(partial.size, total)
    except httpx.UnsupportedProtocol:
        raise
    except httpx.TransportError as exc:
        if stopped.is_set():
            raise StoppedError from exc
        if isinstance(root_cause(exc), ssl.SSLCertVerificationError):
            raise
        raise _AgainError(failure_reason(exc)) from exc
    if total is not None and partial.size != total:
        raise _AgainError(f"the connection broke after {partial.size:,} of {total:,} bytes")
    digest = partial.sha256
    if broken := promise.broken_digest(digest) or promise.broken_beginning(partial.path):
        partial.discard()
        if resumed:
            raise _AgainError("the resumed download does not add up")
        raise _MismatchError(broken)
    fetched = RemoteFile(url, partial.size, digest, partial.etag, partial.last_modified)
    partial.adopt()
    return fetched


def _begin(response: httpx.Response, partial: PartialFile, start: int) -> int | None:
    """Read the answer's head and set the partial file to where the body goes; returns the whole file's size."""
    status, headers = response.status_code, response.headers
    etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
    if status == 200:
        partial.restart(etag, last_modified)
        size = headers.get("Content-Length", "")
        return int(size) if size.isdecimal() else None
    if start and status == 206:
        unit, _, rest = headers.get("Content-Range", "").partition(" ")
        span, _, size = rest.partition("/")
        if unit == "bytes" and span.startswith(f"{start}-") and (etag is None or etag == partial.etag):
            partial.resume()
            return int(size) if size.isdecimal() else None
    if start and status in (206, 416):
        # The file is another, or shorter than what is here: begin again.
        partial.discard()
        raise _AgainError("the server cannot resume the download")
    answer = f"{status} {response.reason_phrase}".strip()
    if status in (408, 429) or status >= 500:
        after = headers.get("Retry-After", "")
        raise _AgainError(answer, float(after) if after.isdecimal() else 0.0)
    raise UnavailableError(answer)


def _copy(path: Path, url: str, blobs: BlobStore, earlier: RemoteFile | None, promise: Promise) -> RemoteFile:
    """A `file:` address; its size and time do what an ETag does."""
    try:
        mark = file_validator(path)
        if earlier is not None and earlier.etag == mark:
            return earlier
        blobs.require(path.stat().st_size, f"a copy of {path}")
        if broken := promise.broken_beginning(path):
            raise _MismatchError(broken)
        digest = blobs.add(path, expected=promise.sha256)
    except DigestMismatchError as exc:
        raise _MismatchError(str(exc)) from exc
    except OSError as exc:
        raise UnavailableError(exc.strerror or str(exc)) from exc
    return RemoteFile(url, blobs.path(digest).stat().st_size, digest, mark)


def _wait(state: RetryCallState) -> float:
    """Seconds before the next try: doubling, and no less than the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    requested = error.after if isinstance(error, _AgainError) else 0.0
    return min(max(requested, BACKOFF_SECONDS * 2 ** (state.attempt_number - 1)), LONGEST_WAIT_SECONDS)
