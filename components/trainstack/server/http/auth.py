"""Who is let in: whoever sends a key whose digest the plan holds. The server itself never knows the key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from .errors import HttpError


def key_digest(key: str) -> str:
    """What a plan holds of a key: it is long and random, so its SHA-256 tells nothing of it."""
    return hashlib.sha256(key.encode()).hexdigest()


def check_key(digests: Sequence[str], authorization: str | None, api_key: str | None) -> None:
    """Let a request in, or not.

    Args:
        digests: The keys that are let in.
        authorization: The header `Authorization`: `Bearer KEY`.
        api_key: The header `X-API-Key`, for clients that cannot set the other.

    Raises:
        HttpError: It has no key (401), or a wrong one (403).
    """
    scheme, _, sent = (authorization or "").partition(" ")
    key = sent.strip() if scheme.lower() == "bearer" and sent else api_key
    if not key:
        raise HttpError("a key is required: send it as `Authorization: Bearer KEY`", 401)
    sent_digest = key_digest(key)
    # All are compared, each in constant time.
    if not sum(hmac.compare_digest(sent_digest, digest) for digest in digests):
        raise HttpError("the key is not right", 403)
