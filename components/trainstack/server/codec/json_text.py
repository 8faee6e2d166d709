"""JSON as TensorFlow Serving reads it: strict, but for the tokens `NaN`, `Infinity` and `-Infinity`."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from ..http.errors import HttpError

# A string literal (left alone) or one of the tokens. `Inf`, `-Inf` and `-NaN` are read too. A literal always matches,
# also one without an end, and is never tried twice, so the time is linear whatever is sent.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|-?Inf(?:inity)?\b|-?NaN\b', re.DOTALL)
_CANONICAL = {
    "Inf": "Infinity",
    "Infinity": "Infinity",
    "-Inf": "-Infinity",
    "-Infinity": "-Infinity",
    "NaN": "NaN",
    "-NaN": "NaN",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a request's body.

    Raises:
        HttpError: It is empty, not JSON, or not an object.
    """
    if not body:
        raise HttpError("JSON Parse error: The document is empty")
    value, refusal = None, ""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        refusal = f"JSON Parse error: {exc.msg} at offset: {exc.pos}"
    if refusal:
        # Not in the handler: its error holds a copy of the body.
        value = _parse_with_tokens(body, refusal)
    if not isinstance(value, dict):
        raise HttpError(f"JSON Value: {shown(value)} Is not object")
    return value  # pyright: ignore[reportUnknownVariableType] (JSON objects have string keys)


def _parse_with_tokens(body: bytes, refusal: str) -> Any:
    """Read JSON that orjson refused, in case that was for the tokens only: they are rare, this may be slow."""
    if b"NaN" not in body and b"Inf" not in body:
        # No variable has the error: it would hold its frame, and the body with it, until the collector comes.
        raise HttpError(refusal)
    try:
        text = _TOKEN.sub(lambda token: _CANONICAL.get(token[0], token[0]), body.decode())
        return json.loads(text, parse_int=_parse_int)
    except (ValueError, RecursionError) as exc:
        raise HttpError(refusal) from exc


def _parse_int(digits: str) -> int | float:
    """An integer outside 64 bits is a decimal number, as it is to orjson."""
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else float(value)


def shown(value: Any, limit: int = 200) -> str:
    """A JSON value inside an error message, cut where it would flood the client."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}…"


def kind(value: Any) -> str:
    """The JSON type of a value, in TensorFlow Serving's words."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    for types, name in ((dict, "Object"), (list, "Array"), (str, "String")):
        if isinstance(value, types):
            return name
    return "Number"
