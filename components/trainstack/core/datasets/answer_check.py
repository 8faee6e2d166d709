"""Whether an answer of 200 is the file: not a login page, not another form of it, not by a way that anybody can change.

Servers, proxies and captive portals answer with 200 where a person with a browser would see at once that it is
something else. What is refused here would otherwise become a version of the dataset.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

_PAGE_BEGINNINGS = (b"<!doctype html", b"<html", b"<head>", b"<body")
_PAGE_SUFFIXES = {"", ".html", ".htm", ".xhtml", ".shtml", ".php", ".asp", ".aspx", ".jsp", ".cgi"}
# Encodings that some servers announce for a file which is compressed itself: then the bytes are the file.
_SUFFIXES_OF_ENCODINGS = {
    "gzip": {".gz", ".tgz"},
    "x-gzip": {".gz", ".tgz"},
    "compress": {".z"},
    "br": {".br"},
    "zstd": {".zst"},
}


class UnavailableError(Exception):
    """An address does not serve its file; the text is the reason."""


def check_redirect(response: httpx.Response) -> None:
    """Refuse to go from https to http, where anybody on the way can put other bytes. A hook of `httpx.Client`.

    Raises:
        UnavailableError: The answer redirects there.
    """
    if not response.has_redirect_location:
        return
    following = response.request.url.join(response.headers["Location"])
    if response.request.url.scheme == "https" and following.scheme == "http":
        raise UnavailableError(
            f"redirects from https to http, to {following.host}: give that address itself, with its sha256"
        )


def check_headers(url: str, response: httpx.Response) -> None:
    """Refuse a file that comes in another form than its own; `Accept-Encoding: identity` was asked for.

    Raises:
        UnavailableError: It has a `Content-Encoding` that is not the file's own compression.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity") or _suffix(url) in _SUFFIXES_OF_ENCODINGS.get(encoding, ()):
        return
    raise UnavailableError(
        f"sends the file with Content-Encoding: {encoding} though it is asked for as it is: name another mirror, or "
        "an address of the compressed file"
    )


def check_beginning(url: str, response: httpx.Response, beginning: bytes) -> None:
    """Refuse a web page in place of a file whose name is not a page's.

    Args:
        url: The address in the program.
        response: Its answer, after redirects.
        beginning: The first bytes of the body.

    Raises:
        UnavailableError: It is a page.
    """
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGE_BEGINNINGS):
        _refuse_page(url, response)


def check_type(url: str, response: httpx.Response) -> None:
    """The same for an answer without a body, which its `Content-Type` alone can call a page.

    Raises:
        UnavailableError: It is a page.
    """
    if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html":
        _refuse_page(url, response)


def _refuse_page(url: str, response: httpx.Response) -> None:
    if _suffix(url) not in _PAGE_SUFFIXES:
        raise UnavailableError(f"answers with a web page, not the file{_elsewhere(url, response)}: it may want a login")


def _elsewhere(url: str, response: httpx.Response) -> str:
    host = response.url.host
    return f" (redirected to {host})" if host != urlsplit(url).hostname else ""


def _suffix(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
