"""The page to try the model on: `page.html`, which asks the server for all that it shows."""

from __future__ import annotations

from pathlib import Path

_HEAD = (
    b"content-type: text/html; charset=utf-8\r\n"
    # The page is one file: its own style and script, nothing from elsewhere, nothing in a frame.
    b"content-security-policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    b"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
)


def page() -> tuple[bytes, bytes]:
    """Header lines and the page."""
    return _HEAD, Path(__file__).with_name("page.html").read_bytes()
