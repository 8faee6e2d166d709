"""The records of datasets in a workspace: one for each version, found by name, its files linked into folders."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from trainstack.core.datasets.in_place.manifest import Manifest, ObjectFile, identities_of, read_shards
from trainstack.core.workspace.inside_name import InsideName
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import NotFoundError, TrainstackError
from trainstack.storage.atomic import read_json, write_json


class DatasetFile(BaseModel):
    """One file of a version.

    Attributes:
        path: Its path in the dataset.
        size: Bytes.
        sha256: Hex SHA-256, which is also the name of its blob.
        source: The address or local path that it came from.
        etag: The server's ETag then.
        last_modified: The server's Last-Modified then.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    path: InsideName
    size: int
    sha256: str
    source: str
    etag: str | None = None
    last_modified: str | None = None


class DatasetRecord(BaseModel):
    """One version of a dataset. Its files never change; what describes them may.

    Attributes:
        name: The name it is registered under.
        version: From 1.
        digest: SHA-256 over the files' paths and digests, of objects their identities: equal for equal content.
        description: What it is.
        tags: Anything to find it by.
        created: When it was first registered, ISO 8601, UTC.
        updated: When a registration last found this content.
        files: Its files that the workspace has, sorted by path.
        objects: Its files that stay in an object store.
        urls: Addresses by file name that it was last registered from.
        paths: Local paths that it was last registered from.
        sources: Digest of the web addresses and those of objects that it was last registered from.
        appended_to: The version that it has all files of; none where it stands alone.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str
    version: int
    digest: str
    description: str = ""
    tags: dict[str, str] = {}
    created: str
    updated: str
    files: tuple[DatasetFile, ...]
    objects: Manifest | None = None
    urls: dict[str, tuple[str, ...]] = {}
    paths: tuple[str, ...] = ()
    sources: str
    appended_to: int | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files) + (self.objects.size if self.objects else 0)

    @property
    def file_count(self) -> int:
        """How many files it has."""
        return len(self.files) + (self.objects.count if self.objects else 0)

    @property
    def blobs(self) -> list[str]:
        """The digests of what the workspace keeps for it: files, and lists of objects."""
        return [*(file.sha256 for file in self.files), *(self.objects.shards if self.objects else ())]


def versions(workspace: Workspace, name: str) -> list[int]:
    """The versions of a dataset, oldest first; empty without such a dataset."""
    paths = workspace.dataset(name).glob("[0-9]*.json")
    return sorted(int(path.stem) for path in paths if path.stem.isdecimal())


def find(workspace: Workspace, name: str, version: int | None = None) -> DatasetRecord:
    """Find a registered dataset.

    Args:
        workspace: Where to look.
        name: Its name.
        version: Its version; none for the newest.

    Raises:
        NotFoundError: There is none; says what there is.
        TrainstackError: The record is damaged.
    """
    numbers = versions(workspace, checked_name(name, "dataset"))
    if not numbers:
        names = sorted(path.name for path in (workspace.root / "datasets").glob("*") if versions(workspace, path.name))
        raise NotFoundError(
            f"no dataset {name!r} in workspace {workspace.name}: it has {', '.join(names) or 'none yet'}"
        )
    if version is not None and version not in numbers:
        raise NotFoundError(f"dataset {name!r} has no version {version}: it has {', '.join(map(str, numbers))}")
    path = _path(workspace, name, version or numbers[-1])
    try:
        return DatasetRecord.model_validate(read_json(path))
    except ValidationError as exc:
        raise TrainstackError(f"{path} is damaged: move it away and run `pulumi up`") from exc


def object_files(workspace: Workspace, record: DatasetRecord) -> list[ObjectFile]:
    """Return a version's files that stay in an object store, sorted by path.

    Raises:
        NotFoundError: The workspace's list of them is gone or damaged.
    """
    return sorted(read_shards(workspace, record.objects.shards)) if record.objects else []


def contents(workspace: Workspace, record: DatasetRecord) -> dict[str, str]:
    """Return what stands for the content of each of a version's files, by path: a SHA-256, or an object's identity.

    Raises:
        NotFoundError: The workspace's list of objects is gone or damaged.
    """
    return {
        **{file.path: file.sha256 for file in record.files},
        **identities_of(object_files(workspace, record)),
    }


def list_datasets(workspace: Workspace) -> list[DatasetRecord]:
    """All versions of all datasets, sorted by name and version; a damaged record is left out."""
    records: list[DatasetRecord] = []
    for folder in sorted((workspace.root / "datasets").glob("*")):
        for version in versions(workspace, folder.name):
            with contextlib.suppress(TrainstackError):
                records.append(find(workspace, folder.name, version))
    return records


def latest_of_sources(known: Sequence[DatasetRecord], sources: str) -> DatasetRecord | None:
    """The version that a registration from the same web sources found last.

    Args:
        known: Versions of one dataset.
        sources: `DatasetSpec.sources`.
    """
    same = [record for record in known if record.sources == sources]
    return max(same, key=lambda record: record.updated, default=None)


def drift_mark(workspace: Workspace, record: DatasetRecord) -> Path:
    """The file that is there while the version's sources are known to have something else."""
    return workspace.dataset(record.name) / f"{record.version}.drift"


def save(workspace: Workspace, record: DatasetRecord) -> None:
    """Write a record atomically. The caller holds the dataset's lock."""
    write_json(_path(workspace, record.name, record.version), record.model_dump(mode="json"))


def lend_into(workspace: Workspace, record: DatasetRecord, folder: Path) -> None:
    """Give a version's files to a run, read-only, as `BlobStore.lend` does: all copied, or none.

    Args:
        workspace: Where the files are.
        record: Which files.
        folder: Made when missing; other files in it stay.

    Raises:
        NotFoundError: The workspace's copy of a file is gone or damaged.
        TrainstackError: The folder cannot be written.
    """
    blobs = workspace.blobs
    blobs.obtain(file.sha256 for file in record.files)
    copy = blobs.small([file.sha256 for file in record.files])
    for file in record.files:
        try:
            blobs.lend(file.sha256, folder / file.path, copy=copy)
        except NotFoundError as exc:
            state = "damaged" if blobs.path(file.sha256).exists() else "gone"
            raise NotFoundError(
                f"the stored copy of {file.path} of dataset {record.name!r}, version {record.version}, is {state}: "
                "run `pulumi refresh`, then `pulumi up`"
            ) from exc


def to_path(workspace: Workspace, record: DatasetRecord) -> list[str]:
    """The files' paths in the dataset, each with a leading `/`, as Azure ML's `FileDataset.to_path()` gives them."""
    return sorted(f"/{name}" for name in contents(workspace, record))


def _path(workspace: Workspace, name: str, version: int) -> Path:
    return workspace.dataset(name) / f"{version}.json"
