"""Names of files that are no text: records, archives and object stores hold names in UTF-8, a disk any bytes."""

from __future__ import annotations


def is_utf8(name: str) -> bool:
    """Whether a name that the file system gave is one in UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """A name for messages: bytes that are no UTF-8 are written out, byte by byte."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
