"""One table of routes: which handler answers a method and a path, and what is said where none does."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .errors import HttpError

Handler = TypeVar("Handler", covariant=True)
_PLACEHOLDER = re.compile(r"\{(\w+)(?::((?:[^{}]|\{[^{}]*\})+))?\}")
# Paths that were asked for before are found by one look-up; there are few that are worth it.
_REMEMBERED = 256


@dataclass(frozen=True, kw_only=True)
class Route(Generic[Handler]):
    """An endpoint.

    Attributes:
        method: `GET` (and with it `HEAD`), `POST`, or `*` for any, where no other route has the path.
        path: Its path; `{name}` stands for a part without a slash, `{name:PATTERN}` for what a pattern matches.
        handler: What answers.
        any_case: Whether the path's letters may be of any case.
        needs_key: Whether it asks for a key, where the service has keys.
        on_metrics_port: Whether the port for metrics answers it too, where no key is asked for.
        operation: Its name in the OpenAPI document; empty leaves it out of there.
        summary: What it does, in a few words, for that document.
        media_type: What it answers with.
        request_schema: Makes the JSON schema of the body, where it takes one; None where the model
            has no such call.
    """

    method: str
    path: str
    handler: Handler
    any_case: bool = False
    needs_key: bool = True
    on_metrics_port: bool = False
    operation: str = ""
    summary: str = ""
    media_type: str = "application/json"
    request_schema: Callable[..., dict[str, Any] | None] | None = None

    def accepts(self, method: str) -> bool:
        """Whether it answers a method."""
        return self.method in (method, "*") or (method == "HEAD" and self.method == "GET")

    def pattern(self) -> re.Pattern[str]:
        """What its path has to match."""
        parts: list[str] = []
        end = 0
        for match in _PLACEHOLDER.finditer(self.path):
            parts.append(re.escape(self.path[end : match.start()]))
            parts.append(f"(?P<{match[1]}>{match[2] or '[^/]+'})")
            end = match.end()
        parts.append(re.escape(self.path[end:]))
        return re.compile("".join(parts), re.IGNORECASE if self.any_case else 0)

    def template(self, **values: str) -> str:
        """The path as OpenAPI writes it, some of its placeholders filled in."""
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], f"{{{match[1]}}}"), self.path)


class RouteTable(Generic[Handler]):
    """Routes, of which the first that fits answers.

    Args:
        routes: The routes; more general ones come last.
    """

    def __init__(self, routes: Sequence[Route[Handler]]) -> None:
        self.routes = routes
        self._patterns = [(route.pattern(), route) for route in routes]
        self._remembered: dict[tuple[str, str], tuple[Route[Handler], dict[str, str]]] = {}

    def find(self, method: str, path: str) -> tuple[Route[Handler], dict[str, str]]:
        """The route of a request, and what stands for its placeholders, still percent-encoded.

        Raises:
            HttpError: No route has this path (404), or none with this method (405, which names the methods).
        """
        remembered = self._remembered.get((method, path))
        if remembered is not None:
            return remembered
        allowed: list[str] = []
        for pattern, route in self._patterns:
            if (match := pattern.fullmatch(path)) is None:
                continue
            if route.method == "*" and allowed:
                break
            if route.accepts(method):
                parameters = {name: value for name, value in match.groupdict().items() if value is not None}
                if len(self._remembered) < _REMEMBERED:
                    self._remembered[method, path] = route, parameters
                return route, parameters
            allowed.append(route.method)
        if allowed:
            methods = _methods(allowed)
            raise HttpError(f"{path} takes {methods} only", 405, allow=methods)
        raise HttpError(f"Not found: {path}", 404)

    def methods(self, path: str) -> str:
        """The methods that a path takes, as the header `Allow` has them; empty where there is no such path."""
        return _methods([route.method for pattern, route in self._patterns if pattern.fullmatch(path)])


def _methods(methods: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(method for method in methods if method != "*"))
