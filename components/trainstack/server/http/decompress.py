"""A request's body as its Content-Encoding says, within bounds."""

from __future__ import annotations

import zlib

from .errors import HttpError

_WBITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Unpack a body.

    Args:
        body: As it was sent.
        encoding: The header `Content-Encoding`, in lower case.
        limit: The most bytes that it may have, unpacked.

    Raises:
        HttpError: It is too large (413), or not what its Content-Encoding says (400, 415).
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in _WBITS:
        raise HttpError(f"Content-Encoding {encoding!r} is not known: send gzip, deflate or none", 415)
    pieces: list[bytes] = []
    size = 0
    while body:
        unpacker = zlib.decompressobj(wbits=_WBITS[encoding])
        try:
            pieces.append(unpacker.decompress(body, limit + 1 - size))
        except zlib.error as exc:
            raise HttpError(f"the request's body is not {encoding}, though its Content-Encoding says so") from exc
        size += len(pieces[-1])
        if size > limit:
            raise too_large(limit)
        if not unpacker.eof:
            raise HttpError(f"the request's {encoding} body is cut short")
        # A file of gzip may be several, one after the other, and zeros.
        body = unpacker.unused_data.lstrip(b"\0") if "gzip" in encoding else b""
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def too_large(limit: int) -> HttpError:
    """What a client is told whose request is too large."""
    return HttpError(f"the request is larger than {limit} bytes: send fewer rows at once", 413)
