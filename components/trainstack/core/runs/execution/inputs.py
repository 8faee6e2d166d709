"""The code and data that a run is given: laid out before it starts, compared when its script has ended.

A script may write to what it is given, whatever the mode of a file says. Of a clone or a copy only this run sees that.
Large data is a hard link to the workspace's one file, which other runs read too. So a run whose inputs are not what
they were does not complete, and the others that go on are told at once; they fail by the same comparison.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainstack.abbreviation import abbreviated
from trainstack.core.datasets import dataset_record
from trainstack.core.datasets.dataset_record import DatasetRecord
from trainstack.core.datasets.in_place.node_cache import NodeCache
from trainstack.core.runs import snapshot
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.events import DATA_EVENT
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.atomic import read_json, write_json
from trainstack.storage.blobs import seal

CHANGED_EVENT = "inputs changed"
OBJECTS = "objects.json"
"""The file of a run with the SHA-256 of each object that it was given, by dataset and path."""
_SHOWN = 3


@dataclass(frozen=True)
class InputFile:
    """A file that a run is given.

    Attributes:
        name: Its path in the run directory.
        digest: Its hex SHA-256.
        blob: The file that it may be a hard link to.
        executable: Whether it is a program.
        in_place: Whether it is an object of a store, of which the workspace keeps no copy.
    """

    name: str
    digest: str
    blob: Path
    executable: bool = False
    in_place: bool = False


def lay_out(
    workspace: Workspace,
    directory: RunDirectory,
    request: RunRequest,
    because: Callable[[str], None] = lambda _: None,
) -> None:
    """Lay code and data of a run out anew.

    Args:
        workspace: Where they are, but for objects in stores.
        directory: The run.
        request: What was submitted.
        because: Told, in a few words, what takes time; may raise to end it.

    Raises:
        TrainstackError: The workspace no longer holds one of the files, an object is not what was registered, or the
            disk is full.
    """
    for folder in (directory.code, directory.data):
        shutil.rmtree(folder, ignore_errors=True)
    directory.code.mkdir(parents=True, exist_ok=True)
    snapshot.lend(request.spec.files, workspace.blobs, directory.code, request.spec.executables)
    objects: dict[str, dict[str, str]] = {}
    for name, reference in request.datasets.items():
        record = dataset_record.find(workspace, reference.name, reference.version)
        dataset_record.lend_into(workspace, record, directory.data / name)
        if record.objects:
            objects[name] = _lend_objects(workspace, directory, request, record, name, because)
    if objects:
        write_json(directory.root / OBJECTS, objects)
    else:
        (directory.root / OBJECTS).unlink(missing_ok=True)


def _lend_objects(
    workspace: Workspace,
    directory: RunDirectory,
    request: RunRequest,
    record: DatasetRecord,
    name: str,
    because: Callable[[str], None],
) -> dict[str, str]:
    """Lay out the objects of a dataset, and return their SHA-256 by path."""
    # Loaded here: only runs of data in place wait for its libraries.
    from trainstack.core.datasets.in_place.lending import lend_objects
    from trainstack.core.datasets.in_place.object_reader import ObjectReader

    mode = request.datasets[name].mode
    lent = lend_objects(
        dataset_record.object_files(workspace, record),
        directory.data / name,
        ObjectReader(
            f"version {record.version} of dataset {record.name!r}", record.objects.datastores if record.objects else ()
        ),
        mode,
        label=f"dataset {record.name!r}",
        cache=NodeCache(),
        limit=int(request.compute.cache_gib * 2**30),
        report=because,
    )
    directory.event(DATA_EVENT, dataset=name, mode=mode, way=lent.way, objects=len(lent.digests), fetched=lent.fetched)
    return lent.digests


def changed(workspace: Workspace, directory: RunDirectory, request: RunRequest) -> list[InputFile]:
    """Return the files that are no longer what the run was given.

    What its seal says is unchanged is not read, unless it is the run's own copy and was touched since the start.
    """
    try:
        started = (directory.root / "launch.json").stat().st_ctime_ns
    except OSError:
        return []
    return [
        file
        for file in _files(workspace, directory, request)
        if not _is_whole(directory.root / file.name, file.digest, file.blob, started)
    ]


def sentence(files: list[InputFile]) -> str:
    """Name changed files, and say what that means."""
    return (
        f"{abbreviated([file.name for file in files], _SHOWN)} changed while it ran, so it is not known what it read: "
        "write to outputs/ or a folder of the script's own. `pulumi up` puts code back; `pulumi refresh`, then `pulumi "
        "up`, data"
    )


def tell_others(workspace: Workspace, directory: RunDirectory, files: list[InputFile]) -> list[str]:
    """Write into the history of each run under way that has a changed file by hard link that it changed.

    Returns:
        The ids of these runs.
    """
    ids: list[str] = []
    for path in workspace.runs.glob("*/run.json"):
        other = RunDirectory(path.parent)
        if other.id == directory.id or not other.has_supervisor():
            continue
        shared = [file.name for file in files if _has(other, directory.root / file.name, file)]
        if shared:
            ids.append(other.id)
            with contextlib.suppress(TrainstackError, OSError):
                other.event(CHANGED_EVENT, files=shared[:_SHOWN], noticed_by=directory.id)
    return ids


def share(workspace: Workspace, directory: RunDirectory, request: RunRequest) -> None:
    """Put hard links in the place of the copies of a run that has ended, so that no byte is on the disk twice.

    What is no longer what the run was given stays, to be looked at. Objects of stores do not stay: they are where they
    were, and the machine's cache may give their room to others.
    """
    for file in _files(workspace, directory, request):
        path, blob = directory.root / file.name, file.blob
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        with contextlib.suppress(OSError):
            if file.executable or path.lstat().st_mtime_ns != seal(file.digest):
                continue
            if file.in_place:
                path.unlink()
                continue
            if path.samefile(blob):
                continue
            if workspace.blobs.has(file.digest):
                os.link(blob, aside)
                aside.replace(path)


def _files(workspace: Workspace, directory: RunDirectory, request: RunRequest) -> Iterator[InputFile]:
    blobs = workspace.blobs
    for name, digest in request.spec.files.items():
        yield InputFile(f"code/{name}", digest, blobs.path(digest), name in request.spec.executables)
    for name, reference in request.datasets.items():
        # A dataset that was purged meanwhile has nothing that could be told to have changed.
        with contextlib.suppress(TrainstackError):
            record = dataset_record.find(workspace, reference.name, reference.version)
            for file in record.files:
                yield InputFile(f"data/{name}/{file.path}", file.sha256, blobs.path(file.sha256))
    with contextlib.suppress(FileNotFoundError, TrainstackError):
        objects: dict[str, dict[str, str]] = read_json(directory.root / OBJECTS)
        cached = NodeCache().blobs
        for name, digests_by_path in objects.items():
            for path, digest in digests_by_path.items():
                yield InputFile(f"data/{name}/{path}", digest, cached.path(digest), in_place=True)


def _is_whole(path: Path, digest: str, blob: Path, started: int) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return False
        if status.st_mtime_ns == seal(digest) and (status.st_ctime_ns <= started or _same(status, blob)):
            return True
        return digests.of_file(path) == digest
    except OSError:
        return False


def _same(status: os.stat_result, blob: Path) -> bool:
    """Whether a file is the blob itself: its time of change moves with every other run that gets it."""
    with contextlib.suppress(OSError):
        return os.path.samestat(status, blob.stat())
    return False


def _has(other: RunDirectory, path: Path, file: InputFile) -> bool:
    with contextlib.suppress(OSError):
        return (other.root / file.name).samefile(path)
    return False
