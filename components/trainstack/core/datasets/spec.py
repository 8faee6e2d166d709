"""The specification of a dataset, and its validation before any work is done."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, field_validator

from trainstack.abbreviation import abbreviated
from trainstack.core.datasets.checks import DatasetChecks
from trainstack.core.datasets.dataset_record import DatasetRecord, contents
from trainstack.core.datasets.in_place.datastore import DatastoreSpec, check_datastore
from trainstack.core.datasets.in_place.object_source import is_address, object_source
from trainstack.core.datasets.local_files import LocalFiles, local_files
from trainstack.core.datasets.promise import Promise
from trainstack.core.datasets.sources import check_unique_names, name_urls
from trainstack.core.properties import ResourceField, as_lines, as_list, as_mapping
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError
from trainstack.storage import digest as digests
from trainstack.storage.digest import DigestCache

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MAGIC = re.compile(r"([0-9a-fA-F]{2}){1,64}")
Addresses = str | tuple[str, ...]
LISTED_FILES = 200
"""State lists each file up to this many."""


class DatasetSpec(BaseModel):
    """What a dataset is registered as.

    Attributes:
        name: The name to register it under.
        urls: Files from the web, one entry a file: an address, or several mirrors of it. A mapping names the files,
            else each is named by the end of its address.
        paths: Local files, folders or globs, made absolute; and objects, folders and globs in object stores.
        datastores: How these are reached, where that is not as the environment says.
        sha256: Promised digests (hex) by the file's name in the dataset; other bytes are refused.
        magic: Promised first bytes (hex) by the file's name; a file that begins in another way is refused.
        description: What it is.
        tags: Anything to find it by.
        create_new_version: Whether changed content becomes a new version; if not, it is an error.
        append: Whether a version has all files of the one before it.
        checks: What every version must be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, ResourceField(change="replace")]
    urls: tuple[Addresses, ...] | dict[str, Addresses] = ()
    paths: tuple[str, ...] = ()
    datastores: tuple[DatastoreSpec, ...] = ()
    sha256: dict[str, str] = {}
    magic: dict[str, str] = {}
    description: str = ""
    tags: dict[str, str] = {}
    create_new_version: Annotated[bool, ResourceField(change="ignore")] = True
    append: bool = False
    checks: DatasetChecks | None = None

    @field_validator("urls", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        """Report a wrong type in one line, where pydantic would write one for each type of the union."""
        mapping = as_mapping(value)
        entries = as_list(value) if mapping is None else list(mapping.values())
        if entries is None or not all(isinstance(entry, str) or as_lines(entry) is not None for entry in entries):
            raise ValueError("give a list with one entry a file, an address or a list of its mirrors")
        return value

    @field_validator("paths")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_absolute_path(path) if path and not is_address(path) else path for path in value)

    @property
    def local_paths(self) -> tuple[str, ...]:
        """The paths that are on this machine."""
        return tuple(path for path in self.paths if not is_address(path))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The paths that are addresses in object stores."""
        return tuple(path for path in self.paths if is_address(path))

    @property
    def remote(self) -> dict[str, tuple[str, ...]]:
        """Addresses by file name.

        Raises:
            InvalidInputError: One is not usable.
        """
        return name_urls(self.urls)

    @property
    def sources(self) -> str:
        """Digest of the addresses: specs with the same digest request the same files."""
        if not self.addresses:
            return digests.of_json(self.remote)
        endpoints = sorted((store.root, store.endpoint) for store in self.datastores)
        return digests.of_json([self.remote, self.addresses, endpoints])

    def promise(self, name: str) -> Promise:
        """What the file of this name must be."""
        digest = self.sha256.get(name)
        return Promise(digest.lower() if digest is not None else None, bytes.fromhex(self.magic.get(name, "")))


class DatasetInputs(DatasetSpec):
    """The inputs of a dataset's resource.

    Attributes:
        workspace: The root of its workspace.
        contents: Digest over the names and contents of the local files.
        objects: Digest over the listing of the files that are in object stores.
    """

    workspace: Annotated[str, ResourceField(change="replace")]
    contents: Annotated[str | None, ResourceField(source="check")] = None
    objects: Annotated[str | None, ResourceField(source="check")] = None


class DatasetOutputs(BaseModel):
    """What a dataset's resource adds to its inputs.

    Attributes:
        version: The version that has this content.
        digest: SHA-256 over its paths and contents.
        files: SHA-256 by path, of objects what their store says of their content; empty above `LISTED_FILES`, where
            the digest alone names the content.
        file_count: How many files it has.
        size: Bytes in all.
        drift: What differs from the registered version, a sentence each.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    version: int
    digest: str
    files: dict[str, str]
    file_count: int
    size: int
    drift: list[str] = []

    @classmethod
    def of(cls, workspace: Workspace, record: DatasetRecord) -> DatasetOutputs:
        """The outputs for a registered version."""
        return cls(
            version=record.version,
            digest=record.digest,
            files=contents(workspace, record) if record.file_count <= LISTED_FILES else {},
            file_count=record.file_count,
            size=record.size,
        )


def validate(spec: DatasetSpec) -> None:
    """Check everything that can be known without reading data or asking the network.

    Raises:
        InvalidInputError: The first thing that is wrong: the name, an address, a local path that is missing, two
            files of one name, or a promised digest that is malformed or for no file of the dataset.
    """
    checked_name(spec.name, "dataset")
    if not spec.urls and not spec.paths:
        raise InvalidInputError(f"dataset {spec.name!r} has no source: give urls or paths", field="urls")
    for store in spec.datastores:
        check_datastore(store)
    for address in spec.addresses:
        object_source(address)
    names = check_unique_names(spec.remote, local_files(spec.local_paths))
    for name, digest in spec.sha256.items():
        if not _SHA256.fullmatch(digest):
            raise InvalidInputError(
                f"the SHA-256 promised for {name!r} is not one: {digest!r} is not 64 hexadecimal digits",
                field="sha256",
            )
    for name, magic in spec.magic.items():
        if not _MAGIC.fullmatch(magic):
            raise InvalidInputError(
                f"the magic number promised for {name!r} is not one: {magic!r} is not 1 to 64 bytes in hexadecimal",
                field="magic",
            )
    for field, promised in (("sha256", spec.sha256), ("magic", spec.magic)):
        unknown = sorted(promised.keys() - set(names))
        if unknown and spec.addresses:
            raise InvalidInputError(
                f"{field} is promised for {unknown[0]!r}, which is no file of urls or of this machine: an object stays "
                "where it is, and its ETag says whether it changes",
                field=field,
            )
        if unknown:
            raise InvalidInputError(
                f"{field} is promised for {unknown[0]!r}, which is no file of dataset {spec.name!r} "
                f"(it has {abbreviated(names, 4)})",
                field=field,
            )


def local_digest(spec: DatasetSpec) -> str:
    """Digest over names and content of the local files, so that preview sees them change.

    Files that did not change since they were last digested are not read.

    Raises:
        InvalidInputError: A local path is missing or cannot be read, or is not what is promised.
    """
    by_name = local_digests(local_files(spec.local_paths))
    for name, (path, digest) in by_name.items():
        if broken := broken_promise(spec.promise(name), path, digest):
            raise InvalidInputError(broken)
    return digests.of_tree({name: digest for name, (_, digest) in by_name.items()})


def version_digest(files: dict[str, str], objects: str | None) -> str:
    """Return the digest of a version.

    Args:
        files: SHA-256 by path, of what the workspace has.
        objects: Digest over the objects' paths and identities; none where there are no objects.
    """
    tree = digests.of_tree(files)
    return digests.of_json([tree, objects]) if objects else tree


def _absolute_path(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def broken_promise(promise: Promise, path: str, digest: str) -> str:
    """Say how a local file is not what is promised of it; nothing where it is."""
    broken = promise.broken_digest(digest) or promise.broken_beginning(Path(path))
    return f"{path} {broken}: correct sha256 or magic in the program, or the file" if broken else ""


def local_digests(groups: list[LocalFiles]) -> dict[str, tuple[str, str]]:
    """Digest local files.

    Returns:
        Name in the dataset to path and hex SHA-256.

    Raises:
        InvalidInputError: A file cannot be read.
    """
    digests_by_name: dict[str, tuple[str, str]] = {}
    for group in groups:
        cache = DigestCache.of_folder("dataset", group.base)
        try:
            for name, digest in cache.digests(Path(group.base), group.names).items():
                digests_by_name[name] = (f"{group.base}/{name}", digest)
        except OSError as exc:
            raise InvalidInputError(f"cannot read {exc.filename}: {exc.strerror}", field="paths") from exc
    return digests_by_name
