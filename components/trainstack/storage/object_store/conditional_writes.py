"""Whether a store keeps the conditions of writes; without them two machines would write over each other.

Some servers that speak S3 ignore `If-None-Match` and `If-Match`. That is tried once for each store and machine, with an
object of its own that is removed again; the result is remembered in this machine's cache.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable

from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.atomic import read_json, write_json
from trainstack.storage.cache import cache_folder
from trainstack.storage.object_store.address import endpoint
from trainstack.storage.store import VersionConflictError


def require_conditional_writes(
    address: str,
    create: Callable[[str, bytes], str],
    replace: Callable[[str, bytes, str], str],
    delete: Callable[[str], None],
) -> None:
    """Check that a store keeps the conditions of writes, unless that is known.

    Args:
        address: The store's.
        create: Its `create`.
        replace: Its `replace`.
        delete: Its `delete`.

    Raises:
        TrainstackError: It does not.
    """
    path = cache_folder() / "stores" / f"{digests.of_json([address, endpoint()])[:16]}.json"
    known = {"address": address, "conditional_writes": True}
    with contextlib.suppress(FileNotFoundError, TrainstackError):
        if read_json(path) == known:
            return
    key = f"locks/probe-{secrets.token_hex(8)}"
    version = create(key, b"1")
    try:
        with contextlib.suppress(FileExistsError):
            create(key, b"2")
            raise _ignored(address, "If-None-Match")
        replace(key, b"3", version)
        with contextlib.suppress(VersionConflictError):
            replace(key, b"4", version)
            raise _ignored(address, "If-Match")
    finally:
        delete(key)
    write_json(path, known)


def _ignored(address: str, header: str) -> TrainstackError:
    return TrainstackError(
        f"{address}: the server ignores {header}, so that two machines could write over each other: use one that keeps "
        "the conditions of writes, as Amazon S3, Google Cloud Storage, Azure and newer MinIO and Ceph do"
    )
