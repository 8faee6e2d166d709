"""An ASGI layer before MLflow's server that lets in whoever has the workspace's token.

A client sends the token as MLflow's own clients do (`MLFLOW_TRACKING_TOKEN`, in `Authorization`). A browser opens a
link with it once, and has it in a cookie from then on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_DIGEST = "TRAINSTACK_TRACKING_TOKEN_SHA256"  # noqa: S105 (a variable's name)
"""Variable with the token's SHA-256: the server's process never knows the token itself."""
TOKEN_PARAMETER = "token"  # noqa: S105 (a parameter's name)
"""Parameter of a link that logs a browser in."""
# Names of this machine, at any port: the page may be forwarded to another one. With any other name of it a page from
# elsewhere would be of one origin with this server (DNS rebinding).
_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")
# They say that the server runs and which MLflow it is.
_OPEN_PATHS = ("/health", "/version")
_COOKIE = "trainstack-{}"
_ADVICE = "this workspace's history asks for its token: open the link that `trainstack ui` prints"
_CLIENT_ADVICE = f"{_ADVICE}; a client takes MLFLOW_TRACKING_TOKEN, which `trainstack ui --variables` prints"
_PAGE = "<!doctype html><meta charset=utf-8><title>Run history</title>{}"
# By a page and not by a redirect: a browser that came from another site sends the new cookie only then.
_GO_ON = '<meta http-equiv="refresh" content="0;url={}">'


class TokenGate:
    """The layer.

    Args:
        application: The server behind it.
        digest: SHA-256 of the token, in hexadecimal.
    """

    def __init__(self, application: Application, digest: str) -> None:
        self._application = application
        self._digest = digest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on, or refuse it before any of its body is read."""
        if scope["type"] == "lifespan" or scope.get("path") in _OPEN_PATHS:
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if _HOST.fullmatch(headers.get("host", "")) is None:
            await self._refuse(scope, send, 403, "PERMISSION_DENIED", "this server answers to 127.0.0.1 and localhost")
        elif self._is_token(_authorization(headers)) or (_same_origin(headers) and self._is_token(_cookie(headers))):
            await self._application(scope, receive, send)
        else:
            await self._log_in(scope, headers, send)

    async def _log_in(self, scope: Scope, headers: dict[str, str], send: Send) -> None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        token = next((value for name, value in query if name == TOKEN_PARAMETER), "")
        if scope.get("method") == "GET" and self._is_token(token):
            cookie = f"{_cookie_name(headers)}={token}; Path=/; HttpOnly; SameSite=Strict"
            rest = urlencode([pair for pair in query if pair[0] != TOKEN_PARAMETER])
            # One slash at its start, or the browser takes what follows for a host.
            target = f"/{scope['path'].lstrip('/')}{'?' if rest else ''}{rest}"
            await _respond(send, 200, _PAGE.format(_GO_ON.format(_escaped(target))), ("set-cookie", cookie))
        elif "text/html" in headers.get("accept", ""):
            await _respond(send, 401, _PAGE.format(f"<p>{_ADVICE}"))
        else:
            await self._refuse(scope, send, 401, "UNAUTHENTICATED", _CLIENT_ADVICE)

    async def _refuse(self, scope: Scope, send: Send, status: int, code: str, message: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = json.dumps({"error_code": code, "message": message})
        fields = [("www-authenticate", "Bearer")] if status == 401 else []
        await _respond(send, status, body, *fields, media_type="application/json")

    def _is_token(self, token: str) -> bool:
        sent = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        return hmac.compare_digest(sent, self._digest)


def _authorization(headers: dict[str, str]) -> str:
    """The token of the header `Authorization`: as `Bearer`, or as the password of `Basic`."""
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return sent.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(sent, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""


def _cookie_name(headers: dict[str, str]) -> str:
    """A name of this port's own: cookies of one host are sent to all of its ports."""
    return _COOKIE.format(urlsplit(f"//{headers.get('host', '')}").netloc.rpartition(":")[2])


def _cookie(headers: dict[str, str]) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(headers))
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _same_origin(headers: dict[str, str]) -> bool:
    """Whether no page of another site or port is behind a request: a browser would send the cookie along with it."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return False
    # A browser says `none` of what its user typed or opened.
    return headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


async def _respond(send: Send, status: int, text: str, *fields: tuple[str, str], media_type: str = "text/html") -> None:
    body = text.encode()
    common = (
        ("content-type", f"{media_type}; charset=utf-8"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    )
    headers = [(name.encode(), value.encode("latin-1")) for name, value in (*common, *fields)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
