"""A request's body, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import zlib

from starlette.requests import Request

from .refusal import Refusal


async def read_body(request: Request, *, limit: int, seconds: float) -> bytes:
    """Read the whole body, and unpack it when it is sent as gzip.

    Args:
        request: The request.
        limit: The most bytes it may have, packed and unpacked.
        seconds: The longest that the client may take to send it.

    Raises:
        Refusal: It is too large (413), too slow (408), or not what its Content-Encoding says (400, 415).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            packed = bytearray()
            async for chunk in request.stream():
                packed += chunk
                if len(packed) > limit:
                    raise _too_large(limit)
    except TimeoutError as exc:
        raise Refusal(f"the request's body did not arrive within {seconds:g} s", 408) from exc
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return bytes(packed)
    if encoding != "gzip":
        raise Refusal(f"Content-Encoding {encoding!r} is not known: send gzip or none", 415)
    return _unpacked(packed, limit)


def _unpacked(packed: bytearray, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        body = unpacker.decompress(packed, limit + 1)
    except zlib.error as exc:
        raise Refusal("the request's body is not gzip, though its Content-Encoding says so") from exc
    if len(body) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise Refusal("the request's gzip body is cut short")
    return body


def _too_large(limit: int) -> Refusal:
    return Refusal(f"the request is larger than {limit} bytes: send fewer rows at once", 413)
