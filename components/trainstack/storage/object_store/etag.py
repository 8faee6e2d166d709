"""ETags of objects, in one form: Azure's listings leave out the quotes that its other answers have."""

from __future__ import annotations

from typing import Any


def etag_of(meta: Any) -> str:
    """Return the ETag that conditions take, in its quotes; empty for an object that has none.

    Args:
        meta: What obstore says of an object.
    """
    etag = str(meta["e_tag"] or "")
    return f'"{etag}"' if etag and not etag.endswith('"') else etag
