"""The manifest of a version that lies in an object store: what its listing says of each object.

Shards of at most 10,000 objects are blobs of the workspace; versions that share objects share shards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from trainstack.core.datasets.in_place.datastore import DatastoreSpec
from trainstack.core.workspace.inside_name import leads_out
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrainstackError
from trainstack.storage import digest as digests

SHARD_OBJECTS = 10_000
# S3 gives the MD5 of an object's bytes, or of its parts' MD5s, where the bytes are not encrypted with a key of theirs.
_MD5 = re.compile(r'"?([0-9a-f]{32}(?:-[0-9]{1,5})?)"?')


class ObjectFile(NamedTuple):
    """A file of a dataset that is an object.

    Attributes:
        path: Its path in the dataset.
        bucket: Scheme and bucket.
        key: The object's key.
        size: Bytes.
        etag: The store's ETag.
        version: The store's version id; empty where the bucket keeps none.
    """

    path: str
    bucket: str
    key: str
    size: int
    etag: str
    version: str = ""

    @property
    def address(self) -> str:
        """The object's address."""
        return f"{self.bucket}/{self.key}"

    @property
    def identity(self) -> str:
        """What stands for the object's content in the version's digest.

        An ETag that is an MD5 says the same wherever the object lies; any other says something of its address alone.
        """
        if match := _MD5.fullmatch(self.etag):
            return f"md5:{match[1]}:{self.size}"
        return f"etag:{self.address}:{self.etag}:{self.size}"


class Manifest(BaseModel):
    """The objects of a version.

    Attributes:
        shards: The shards, hex SHA-256 of blobs.
        count: How many objects.
        size: Bytes of all objects.
        digest: SHA-256 over their paths and identities.
        sources: The addresses that they were listed from.
        datastores: How these are reached.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    shards: tuple[str, ...]
    count: int
    size: int
    digest: str
    sources: tuple[str, ...]
    datastores: tuple[DatastoreSpec, ...] = ()


def write_shards(workspace: Workspace, objects: Sequence[ObjectFile]) -> tuple[str, ...]:
    """Keep objects in the workspace; the caller holds its records lock.

    Args:
        workspace: Where to keep the shards.
        objects: The objects, sorted by path.

    Returns:
        The shards' digests.
    """
    blobs, shards = workspace.blobs, list[str]()
    remaining = iter(objects)
    while batch := list(islice(remaining, SHARD_OBJECTS)):
        data = "".join(f"{json.dumps(entry, ensure_ascii=False, separators=(',', ':'))}\n" for entry in batch).encode()
        shards.append(blobs.put(data))
    return tuple(shards)


def read_shards(workspace: Workspace, shards: Iterable[str]) -> Iterator[ObjectFile]:
    """Yield the objects of shards.

    Raises:
        NotFoundError: A shard is gone or damaged.
        TrainstackError: A shard names a file outside of its folder.
    """
    blobs, names = workspace.blobs, list(shards)
    blobs.obtain(names)
    for name in names:
        if not blobs.has(name):
            raise NotFoundError(
                f"a dataset's list of objects ({name[:12]}) is gone or damaged: run `pulumi refresh`, then `pulumi up`"
            )
        for line in blobs.path(name).read_bytes().splitlines():
            entry = ObjectFile(*json.loads(line))
            if leads_out(entry.path):
                raise TrainstackError(
                    f"a dataset's list of objects ({name[:12]}) names a file outside of its folder, {entry.path!r}: "
                    "remove the version, or restore it"
                )
            yield entry


def identities_of(objects: Iterable[ObjectFile]) -> dict[str, str]:
    """Return the identity of each object, by path."""
    return {entry.path: entry.identity for entry in objects}


def digest_of(objects: Iterable[ObjectFile]) -> str:
    """Return the digest over paths and identities of objects."""
    return digests.of_tree(identities_of(objects))
