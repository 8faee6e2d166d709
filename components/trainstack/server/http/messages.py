"""A request as it came in, a response as it goes out, and the headers of responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


class Headers:
    """Header lines of a response, encoded once and used for many.

    Args:
        fields: Lower-case name to value, both latin-1.

    Attributes:
        encoded: The lines as HTTP/1.1 has them, each with its line end.
    """

    __slots__ = ("encoded",)

    def __init__(self, fields: Mapping[str, str | int]) -> None:
        self.encoded = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("latin-1")

    def __add__(self, other: Headers) -> Headers:
        joined = Headers({})
        joined.encoded = self.encoded + other.encoded
        return joined


NO_HEADERS = Headers({})
JSON = Headers({"content-type": "application/json"})


@dataclass(slots=True)
class Request:
    """One request, whole.

    Attributes:
        method: `GET`, `POST`.
        path: As sent, still percent-encoded, without the query.
        headers: Lower-case name to value, both as latin-1.
        body: As sent.
        begun: When its first byte came, of `time.perf_counter`.
        query: What follows the `?`, still percent-encoded.
        held: Bytes that are counted for it, of `MemoryBudget`.
        admitted: What the application has found for its head, where it was asked before the body came.
    """

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    begun: float
    query: str = ""
    held: int = 0
    admitted: Any = None

    def header(self, name: bytes) -> str | None:
        """The value of a header."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def parameter(self, name: str) -> str | None:
        """The value of a parameter of the query, decoded; the last one where it comes several times."""
        values = parse_qs(self.query, keep_blank_values=True).get(name)
        return values[-1] if values else None


@dataclass(slots=True)
class Response:
    """What a request is answered with.

    Attributes:
        body: Its bytes; a request by HEAD gets their number alone.
        status: The HTTP status.
        headers: What is said beside it; the connection adds length and date.
    """

    body: bytes
    status: int = 200
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
