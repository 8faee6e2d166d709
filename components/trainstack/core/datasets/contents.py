"""Bring a dataset's files into the workspace, from the web and from local folders, a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from trainstack.core.datasets import download
from trainstack.core.datasets.dataset_record import DatasetFile, DatasetRecord, latest_of_sources, list_datasets
from trainstack.core.datasets.local_files import local_files
from trainstack.core.datasets.progress import RegistrationProgress
from trainstack.core.datasets.remote_file import RemoteFile, open_client
from trainstack.core.datasets.spec import DatasetSpec, broken_promise, local_digests
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import DigestMismatchError, TrainstackError
from trainstack.storage import disk_space

_WORKERS = 4
Item = TypeVar("Item")
Result = TypeVar("Result")


def remote_contents(
    workspace: Workspace,
    spec: DatasetSpec,
    versions: Sequence[DatasetRecord],
    progress: Callable[[str], None],
    *,
    check_remote: bool,
) -> list[DatasetFile]:
    """The files that come from the web, their bytes in the workspace.

    Args:
        workspace: Where to keep them.
        spec: Which files.
        versions: The dataset's versions. Files of the one that the same addresses gave last are taken as they are.
        progress: Receives a line about the progress.
        check_remote: Whether to ask the addresses all the same.

    Raises:
        DigestMismatchError: A file is not what was promised.
        TrainstackError: A file cannot be had, or the disk is full.
    """
    unchanged = None if check_remote else latest_of_sources(versions, spec.sources)
    before = {file.path: file for file in unchanged.files} if unchanged else {}
    files: list[DatasetFile] = []
    missing: list[str] = []
    for name in spec.remote:
        file = before.get(name)
        if file and spec.promise(name).is_kept(workspace.blobs, file.sha256):
            files.append(file)
        else:
            missing.append(name)
    if missing:
        files += _fetch(workspace, spec, missing, progress, check_remote=check_remote)
    return files


def local_contents(workspace: Workspace, spec: DatasetSpec, progress: Callable[[str], None]) -> list[DatasetFile]:
    """The files that come from local paths, their bytes in the workspace.

    Raises:
        DigestMismatchError: One is not what was promised.
        TrainstackError: One changed meanwhile, or the disk is full.
    """
    groups = local_files(spec.local_paths)
    if not groups:
        return []
    progress(f"digesting {sum(len(group.names) for group in groups):,} local files")
    contents = local_digests(groups)
    for name, (path, digest) in contents.items():
        if broken := broken_promise(spec.promise(name), path, digest):
            raise DigestMismatchError(broken)
    blobs = workspace.blobs
    missing = {digest: (name, path) for name, (path, digest) in contents.items() if not blobs.has(digest)}
    size = disk_space.size_of(Path(path) for _, path in missing.values())
    blobs.require(size, f"dataset {spec.name}")
    registration = RegistrationProgress(progress, len(missing))

    def store(digest: str) -> None:
        name, path = missing[digest]
        try:
            blobs.add(Path(path), expected=digest)
        except (DigestMismatchError, FileNotFoundError) as exc:
            raise TrainstackError(f"{path} changed while it was being registered: run `pulumi up` again") from exc
        except PermissionError as exc:
            raise TrainstackError(f"cannot read {path}: {exc.strerror}") from exc
        registration.finish(name)

    _in_parallel(store, list(missing), threading.Event())
    return [
        DatasetFile(path=name, size=blobs.path(digest).stat().st_size, sha256=digest, source=path)
        for name, (path, digest) in contents.items()
    ]


def _fetch(
    workspace: Workspace, spec: DatasetSpec, names: list[str], progress: Callable[[str], None], *, check_remote: bool
) -> list[DatasetFile]:
    """Fetch files; those that the workspace has already are fetched only if they changed."""
    remote, blobs, registration = spec.remote, workspace.blobs, RegistrationProgress(progress, len(names))
    # Any dataset of the workspace may have had a file from the same address.
    by_address = {
        file.source: RemoteFile(file.source, file.size, file.sha256, file.etag, file.last_modified)
        for record in sorted(list_datasets(workspace), key=lambda record: record.updated)
        for file in record.files
    }
    stopped = threading.Event()

    def fetch_one(name: str) -> DatasetFile:
        promise = spec.promise(name)
        earlier = [by_address[url] for url in remote[name] if url in by_address]
        earlier_copy = next((file for file in earlier if blobs.available(file.sha256)), None)
        if promise.sha256 is not None and not check_remote and promise.is_kept(blobs, promise.sha256):
            # Content that is promised and here needs no server to say so.
            blobs.obtain([promise.sha256])
            fetched = RemoteFile(remote[name][0], blobs.path(promise.sha256).stat().st_size, promise.sha256)
            if earlier_copy is not None and earlier_copy.sha256 == promise.sha256:
                fetched = earlier_copy
        else:
            fetched = download.fetch(
                client,
                name,
                remote[name],
                blobs,
                earlier=earlier_copy,
                promise=promise,
                report=lambda done, size: registration.at(name, done, size),
                stopped=stopped,
            )
        registration.finish(name)
        return DatasetFile(
            path=name,
            size=fetched.size,
            sha256=fetched.sha256,
            source=fetched.url,
            etag=fetched.etag,
            last_modified=fetched.last_modified,
        )

    with open_client() as client:
        return _in_parallel(fetch_one, names, stopped)


def _in_parallel(work: Callable[[Item], Result], items: list[Item], stopped: threading.Event) -> list[Result]:
    """Process items in parallel; the first failure, or Ctrl-C, cancels the others and is raised."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(future.done() and future.exception() is None for future in futures):
                stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)
    errors = [future.exception() for future in futures if not future.cancelled()]
    for error in errors:
        if error is not None and not isinstance(error, download.StoppedError):
            raise error
    return [future.result() for future in futures]
