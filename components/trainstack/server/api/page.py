"""The page to try the model on: `page.html`, which asks the server for all that it shows."""

from __future__ import annotations

from pathlib import Path

from ..http.messages import Headers

# The page is one file: its own style and script, nothing from elsewhere, nothing in a frame.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = Headers({"content-type": "text/html; charset=utf-8", "content-security-policy": _POLICY})


def page() -> bytes:
    """The page."""
    return Path(__file__).with_name("page.html").read_bytes()
