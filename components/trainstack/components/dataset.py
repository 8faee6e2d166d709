"""Dataset: files from web addresses, local folders or object stores, registered once and mounted into runs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

from trainstack.components.adopted import Adopted
from trainstack.components.base import BaseResource, Component, in_clear, portable_path, resource_inputs
from trainstack.components.datastore import DatastorePath
from trainstack.components.declaration import checked
from trainstack.components.workspace import Workspace
from trainstack.provider.lazy_providers import LazyAdoptedDatasetProvider, LazyDatasetProvider


@checked
@dataclass(kw_only=True)
class DatasetChecks:
    """What every version of a dataset must be, by its list of files: held against it once, before anything trains.

    Attributes:
        min_files: The fewest files.
        max_files: The most files.
        min_bytes: The fewest bytes in all.
        max_bytes: The most bytes in all.
        globs: Globs over the files' paths in the dataset, each of which must match some.
        no_empty_files: Whether each file must have a byte.
    """

    min_files: pulumi.Input[int] | None = None
    max_files: pulumi.Input[int] | None = None
    min_bytes: pulumi.Input[int] | None = None
    max_bytes: pulumi.Input[int] | None = None
    globs: Sequence[pulumi.Input[str]] = ()
    no_empty_files: pulumi.Input[bool] = False


@checked
@dataclass(kw_only=True)
class DatasetArgs:
    """Arguments of a dataset.

    Attributes:
        workspace: The workspace that it belongs to.
        urls: One entry a file: its address, or the addresses of several mirrors, tried in order. A mapping names
            the files; else a file is named by the end of its address.
        paths: Local files, folders or globs, relative to the program's folder; `run.output(…)` for what a run leaves.
            Objects, folders and globs in an object store (`s3://`, `gs://`, `az://`, `abfss://`, `datastore.path(…)`)
            stay where they are.
        sha256: Promised digests (hex) by file name; other bytes are refused.
        magic: Promised first bytes by file name, the magic number of its format, such as `bytes.fromhex("1f8b")`;
            a file that begins in another way is refused.
        description: What it is.
        tags: Anything to find it by.
        create_new_version: Whether changed content becomes a new version; if not, it is an error.
        append: Whether a version has all files of the one before it, and these besides.
        checks: What every version must be; one that is not fails, and so does what depends on it.
    """

    workspace: Workspace
    urls: Sequence[pulumi.Input[str | Sequence[str]]] | Mapping[str, pulumi.Input[str | Sequence[str]]] = ()
    paths: Sequence[pulumi.Input[str] | RunOutput | DatastorePath] = ()
    sha256: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    magic: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    description: pulumi.Input[str] = ""
    tags: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    create_new_version: pulumi.Input[bool] = True
    append: pulumi.Input[bool] = False
    checks: DatasetChecks | None = None


@dataclass(frozen=True)
class DatasetReference:
    """A dataset in a script's arguments: the script gets the folder with its files.

    Attributes:
        dataset: The dataset.
        mode: `mount` or `download`; on this machine both are read-only links into the workspace.
    """

    dataset: Dataset
    mode: Literal["mount", "download"]

    def __str__(self) -> str:
        """Refuse to be part of a text: the folder is known when the run starts."""
        raise pulumi.RunError(
            f"dataset {self.dataset.name} stands in a text: give it alone as an argument's value, or in a list"
        )


class RunOutput:
    """A file or folder that a run leaves, for another run to train on.

    It is a source of a dataset (`paths`), or a dataset by itself that is declared when it is first mounted.

    Attributes:
        path: Where it is on this machine, absolute; known once the run has completed.
    """

    def __init__(self, run: pulumi.Resource, dataset: str, workspace: Workspace, path: pulumi.Output[str]) -> None:
        self.path = path
        self._run = run
        self._name = dataset
        self._workspace = workspace

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The dataset of these files, named after the run and the path: `prepare-features`."""
        args = DatasetArgs(workspace=self._workspace, paths=[self.path])
        return Dataset(self._name, args, pulumi.ResourceOptions(parent=self._run))

    def as_mount(self) -> DatasetReference:
        """Stand for the folder in which a run finds the files, read-only."""
        return self.dataset.as_mount()

    def as_download(self) -> DatasetReference:
        """Stand for a folder on the run's node with a copy of the files."""
        return self.dataset.as_download()


class _Resource(BaseResource, module="trainstack", name="Dataset"):
    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    files: pulumi.Output[dict[str, str]]
    file_count: pulumi.Output[int]
    size: pulumi.Output[int]
    contents: pulumi.Output[str]
    objects: pulumi.Output[str]


class Dataset(Component):
    """Files that runs train on, with a digest each, under a name and a version.

    The same sources again: nothing is fetched and the version stays. Content that changed at its source is seen by
    `pulumi refresh` and becomes the next version.

    Attributes:
        workspace: The workspace that it belongs to.
        name: Its name.
        version: The version that its content has, from 1.
        digest: SHA-256 over its paths and contents.
        files: SHA-256 by path (left out above 200 files).
        size: Bytes in all.

    Example:
        ```python
        mnist = ts.Dataset("mnist", ts.DatasetArgs(workspace=workspace, urls=["https://…/train-images.gz"]))
        ```
    """

    kind = "Dataset"

    def __init__(self, name: str, args: DatasetArgs | Adopted, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.workspace = args.workspace
        self.name = name
        if isinstance(args, Adopted):
            provider, inputs = LazyAdoptedDatasetProvider(), args.inputs(name)
        else:
            provider, inputs = LazyDatasetProvider(), _inputs(name, args)
        self._resource = _Resource(provider, name, inputs, self._child_options())
        self.version = self._resource.version
        self.digest = self._resource.digest
        self.files = self._resource.files
        self.size = self._resource.size
        self.register_outputs({"name": name, "version": self.version, "digest": self.digest})

    @classmethod
    def get(
        cls,
        name: str,
        workspace: Workspace,
        version: pulumi.Input[int] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Dataset:
        """Adopt a dataset that the workspace has: nothing is downloaded, and preview fails when there is none.

        Args:
            name: The name it is registered under.
            workspace: The workspace.
            version: Its version; the newest when left out.
            opts: Pulumi's options.
        """
        return cls(name, Adopted(workspace, version), opts)

    def as_mount(self) -> DatasetReference:
        """Stand for the folder in which a run finds the files, read-only."""
        return DatasetReference(self, "mount")

    def as_download(self) -> DatasetReference:
        """Stand for a folder on the run's node with a copy of the files."""
        return DatasetReference(self, "download")

    def to_path(self) -> pulumi.Output[list[str]]:
        """The files' paths in the dataset, sorted, each with a leading slash as Azure ML's `FileDataset` gives them."""
        return self.files.apply(lambda files: sorted(f"/{name}" for name in files))

    def reference(self, mode: str) -> dict[str, pulumi.Input[Any]]:
        """The reference that a run's inputs hold."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "mode": mode,
            # Only for the reason line: which of the files changed.
            "files": self.files,
        }


def _inputs(name: str, args: DatasetArgs) -> dict[str, Any]:
    stores = {id(path.datastore): path.datastore for path in args.paths if isinstance(path, DatastorePath)}
    magic = {file: beginning.hex() for file, beginning in args.magic.items()}
    paths = [_source(path) for path in args.paths]
    inputs = resource_inputs(args, name=name, workspace=args.workspace.root, paths=paths, magic=magic)
    if args.checks is not None:
        declared = resource_inputs(args.checks)
        inputs["checks"] = {check: value for check, value in declared.items() if value is not None}
    if stores:
        inputs["datastores"] = [store.inputs() for store in stores.values()]
    return in_clear(f"dataset {name}", inputs)


def _source(path: pulumi.Input[str] | RunOutput | DatastorePath) -> pulumi.Output[str]:
    """A source as inputs hold it: an address as it is, a path relative to the project."""
    if isinstance(path, DatastorePath):
        return path.address
    source = pulumi.Output.from_input(path.path if isinstance(path, RunOutput) else path)
    return source.apply(lambda value: value if "://" in value else portable_path(value))
