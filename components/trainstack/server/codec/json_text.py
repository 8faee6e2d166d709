"""JSON as TensorFlow Serving reads it.

Strict, but for the tokens `NaN`, `Infinity` and `-Infinity`, a byte order mark before it and whatever follows it. Of
several members of one name the first counts, and several in a row of `instances` are an error.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
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

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WHITE_SPACE = " \t\r\n"
# How orjson says that the document has ended before the body does.
_TRAILING = "unexpected content after document"


class RepeatedNames(dict[str, Any]):
    """An object that has two members of one name; a lookup gives the first.

    Attributes:
        last: The same with the last of each name.
    """

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(members))
        self.last = dict(members)


def parse_object(body: bytes, *, alone: bool = False) -> dict[str, Any]:
    """Read a request's body.

    Args:
        body: The bytes.
        alone: Whether nothing may follow the document.

    Raises:
        HttpError: It is empty, not JSON, or not an object.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    if not body:
        raise HttpError("JSON Parse error: The document is empty")
    value, refusal = None, ""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        refusal = f"JSON Parse error: {exc.msg} at offset: {exc.pos}"
    if refusal:
        # Not in the handler: its error holds a copy of the body.
        if b"NaN" not in body and b"Inf" not in body and (alone or _TRAILING not in refusal):
            # No variable has the error: it would hold its frame, and the body with it, until the collector comes.
            raise HttpError(refusal)
        value = _parse_leniently(body, refusal, alone)
    elif isinstance(value, dict) and _may_repeat(body, value):  # pyright: ignore[reportUnknownArgumentType]
        value = _parse_leniently(body, "JSON Parse error", alone)
    if not isinstance(value, dict):
        raise HttpError(f"JSON Value: {shown(value)} Is not object")
    return value  # pyright: ignore[reportUnknownVariableType] (JSON objects have string keys)


def _may_repeat(body: bytes, document: Mapping[str, Any]) -> bool:
    """Whether an object may have two members of one name, of which orjson gives the last.

    A name that is in the body more often than in what was read of it may be text too: then it is read once more.
    """
    names: Counter[str] = Counter(iter(document))
    for value in document.values():
        objects: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
        if objects and isinstance(objects[0], dict):
            for item in objects:
                names.update(iter(item) if isinstance(item, dict) else ())  # pyright: ignore[reportUnknownArgumentType]
    return any(body.count(b'"%b"' % name.encode(errors="replace")) > count for name, count in names.items())


def _parse_leniently(body: bytes, refusal: str, alone: bool) -> Any:
    """Read JSON with the tokens, with text behind it, or with members of one name: that is rare, this may be slow."""
    try:
        text = _TOKEN.sub(lambda token: _CANONICAL.get(token[0], token[0]), body.decode())
        reader = json.JSONDecoder(parse_int=_parse_int, parse_float=_parse_float, object_pairs_hook=_first_of_each)
        text = text.lstrip(_WHITE_SPACE)
        value, end = reader.raw_decode(text)
    except (ValueError, RecursionError) as exc:
        raise HttpError(refusal) from exc
    if alone and text[end:].strip(_WHITE_SPACE):
        raise HttpError(refusal)
    return value


def _first_of_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    return RepeatedNames(members) if len({name for name, _ in members}) < len(members) else dict(members)


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large a number")
    return value


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
