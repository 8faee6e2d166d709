"""Which pages of the web may use a service from their own scripts (CORS), as `cors_origins` says."""

from __future__ import annotations

from collections.abc import Sequence

from .messages import Headers, Request

_ANY = "*"
# What a page's script may send and read beside the usual, and for how many seconds a browser may remember that.
_SENT = "authorization, content-encoding, content-type, inference-header-content-length, x-api-key"
_READ = "content-length, inference-header-content-length, retry-after, x-model-digest, x-model-version"
_REMEMBERED = 3600


class Cors:
    """Answers browsers that ask for a page.

    Args:
        origins: Origins of pages, such as `https://app.example.com`, or `*` for any.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.lower() for origin in origins)

    def allows(self, request: Request) -> bool:
        """Whether a request comes from a page that may use the service."""
        origin = request.headers.get(b"origin")
        if origin is None or not self._origins:
            return False
        return _ANY in self._origins or origin.decode("latin-1").lower() in self._origins

    def headers(self, request: Request) -> dict[str, str | int]:
        """What an answer says to the browser; nothing to a page that may not use the service."""
        if not self.allows(request):
            return {}
        origin = request.headers[b"origin"].decode("latin-1")
        return {
            "access-control-allow-origin": _ANY if _ANY in self._origins else origin,
            "access-control-expose-headers": _READ,
            "vary": "origin",
        }

    def preflight(self, request: Request, methods: str) -> Headers:
        """The answer to the question that a browser asks before the request itself."""
        return Headers(
            {
                **self.headers(request),
                "access-control-allow-methods": methods,
                "access-control-allow-headers": _SENT,
                "access-control-max-age": _REMEMBERED,
            }
        )
