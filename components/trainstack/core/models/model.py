"""The model registry of a workspace: immutable versions of files, each with a digest. See `docs/models.md`."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainstack.abbreviation import counted
from trainstack.core.models.model_record import ModelRecord, ModelSpec, ResourceConfiguration
from trainstack.core.models.source import file_digests, resolve_source, source_digest, source_files
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.queue import MODEL_PREFIX, enqueue
from trainstack.core.workspace.origin import origin_of
from trainstack.core.workspace.version_numbers import last_purged
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import NotFoundError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage import disk_space, locks
from trainstack.storage.atomic import disk_errors, read_json, write_json

__all__ = [
    "ModelRecord",
    "ModelSpec",
    "ResourceConfiguration",
    "find",
    "find_drift",
    "lay_out",
    "list_models",
    "register",
    "resolve_source",
    "restore",
    "source_digest",
]

Progress = Callable[[str], None]

_RECORD = "model.json"
_FILES = "files"


def _no_progress(_: str) -> None:
    return


def register(
    workspace: Workspace, spec: ModelSpec, source: Path, run_id: str | None = None, progress: Progress = _no_progress
) -> ModelRecord:
    """Register a model's files as a version.

    Files with the digest of the latest version make no new one: its description follows `spec`, and its files,
    digest, run and time stay. Safe to call again after a crash, and from several processes at once.

    Args:
        workspace: The workspace.
        spec: What it is registered as.
        source: The file or folder; with a run, relative to the run's directory.
        run_id: The run that made it.
        progress: Receives a line about the progress.

    Raises:
        InvalidInputError: The name or path is not usable.
        NotFoundError: There is nothing at `source`.
        TrainstackError: A file changed meanwhile, or the disk is full.
    """
    checked_name(spec.name, "model")
    if run_id is not None:
        if same := _same_as_latest(workspace, spec, source, run_id):
            progress(f"version {same.version} holds these files already")
            return same
        _fetch_source(workspace, source, run_id)
    files = source_files(resolve_source(workspace, source, run_id))
    progress(f"hashing {counted(len(files), 'file')}")
    contents = file_digests(files)
    about = spec.model_dump(mode="json", exclude={"name"})
    with (
        locks.shared(workspace.records_lock, lambda: progress("waiting for a removal from the workspace")),
        locks.exclusive(workspace.model(spec.name) / ".lock", lambda: progress(f"waiting for another {spec.name}")),
    ):
        _remove_leftovers(workspace, spec.name)
        latest = max(_versions(workspace, spec.name), default=0)
        if latest:
            record = _read_version(workspace, spec.name, latest)
            if record.digest == digests.of_tree(contents):
                progress(f"version {latest} holds these files already")
                enqueue(workspace, f"{MODEL_PREFIX}{spec.name}")
                return _update_description(record, about)
        version = max(latest, last_purged(workspace.model(spec.name))) + 1
        content = {
            "name": spec.name,
            "version": version,
            "digest": digests.of_tree(contents),
            "run_id": run_id,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": contents,
        }
        progress(f"storing version {version}")
        missing = {contents[name]: path for name, path in files.items() if not workspace.blobs.has(contents[name])}
        if missing:
            workspace.blobs.require(disk_space.size_of(missing.values()), f"model {spec.name}")
        for relative, path in files.items():
            _store_blob(workspace, path, contents[relative])
        _write_version(workspace, {**content, **about})
        enqueue(workspace, f"{MODEL_PREFIX}{spec.name}")
        tracking_server.start_in_background(workspace)
        return _read_version(workspace, spec.name, version)


def find(workspace: Workspace, name: str, version: int | None = None) -> ModelRecord:
    """Find a registered version.

    Args:
        workspace: The workspace.
        name: The model's name.
        version: Its version; None for the latest.

    Raises:
        NotFoundError: There is none; the message lists what there is.
    """
    versions = sorted(_versions(workspace, name))
    if not versions:
        names = sorted({record.name for record in list_models(workspace)})
        raise NotFoundError(f"no model {name!r} in {workspace.root}: there is {', '.join(names) or 'none'}")
    if version is not None and version not in versions:
        raise NotFoundError(
            f"model {name!r} has no version {version}: there is {', '.join(str(number) for number in versions)}"
        )
    return _read_version(workspace, name, version or versions[-1])


def list_models(workspace: Workspace) -> list[ModelRecord]:
    """All versions of all models, by name and version."""
    root = workspace.root / "models"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [_read_version(workspace, name, version) for name in names for version in sorted(_versions(workspace, name))]


def find_drift(workspace: Workspace, record: ModelRecord) -> list[str]:
    """Compare a version's files with its record.

    Returns:
        One entry a file, `PATH: changed`, `PATH: gone` or `PATH: added`; none when all is as it was.
    """
    differences: dict[str, str] = {}
    root = Path(record.path)
    present = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if not path.is_dir()}
    # A machine's copy of a workspace in a store has the files that something here has used.
    is_copy = origin_of(workspace.root) is not None
    for relative, digest in record.files.items():
        path = present.get(relative)
        if path is None or not path.is_file():
            if not (is_copy and workspace.blobs.available(digest)):
                differences[relative] = "gone"
        elif digests.of_file(path) != digest:
            differences[relative] = "changed"
    differences.update((relative, "added") for relative in present.keys() - record.files.keys())
    return [f"{relative}: {difference}" for relative, difference in sorted(differences.items())]


def restore(workspace: Workspace, record: ModelRecord) -> None:
    """Put a version's files back as they were registered.

    Raises:
        TrainstackError: The workspace holds no whole copy of a file any more.
    """
    with locks.exclusive(workspace.model(record.name) / ".lock"):
        for entry in find_drift(workspace, record):
            relative, _, state = entry.rpartition(": ")
            target = Path(record.path) / relative
            if state == "added":
                target.unlink()
                continue
            digest = record.files[relative]
            workspace.blobs.obtain([digest])
            if not workspace.blobs.verify(digest) and not _restore_blob(workspace, record, digest):
                raise TrainstackError(
                    f"{relative} of model {record.name} version {record.version} is {state}, and its blob {digest} "
                    "is damaged too: register the model again from its run"
                )
            workspace.blobs.link(digest, target)


def lay_out(workspace: Workspace, record: ModelRecord) -> None:
    """Fetch a version's files, where this machine's copy of a workspace in an object store lacks them.

    Raises:
        NotFoundError: The store has lost one.
        TrainstackError: It refuses or does not answer, or the disk is full.
    """
    if origin_of(workspace.root) is None:
        return
    with locks.exclusive(workspace.model(record.name) / ".lock"):
        missing = {name: digest for name, digest in record.files.items() if not (Path(record.path) / name).is_file()}
        workspace.blobs.obtain(missing.values())
        for name, digest in missing.items():
            workspace.blobs.link(digest, Path(record.path) / name)


def _same_as_latest(workspace: Workspace, spec: ModelSpec, source: Path, run_id: str) -> ModelRecord | None:
    """The latest version where it is what a run elsewhere has left, by its record: then nothing needs to be fetched."""
    run = RunDirectory(workspace.run(run_id))
    if origin_of(workspace.root) is None or not run.exists() or (run.root / source).exists():
        return None
    outputs = {Path("outputs", name): digest for name, digest in run.read().outputs.items()}
    left = {path.relative_to(source).as_posix(): outputs[path] for path in outputs if path.is_relative_to(source)}
    if source in outputs:
        left = {source.name: outputs[source]}
    with locks.exclusive(workspace.model(spec.name) / ".lock"):
        versions = _versions(workspace, spec.name)
        if not versions or (latest := _read_version(workspace, spec.name, max(versions))).digest != digests.of_tree(
            left
        ):
            return None
        enqueue(workspace, f"{MODEL_PREFIX}{spec.name}")
        return _update_description(latest, spec.model_dump(mode="json", exclude={"name"}))


def _fetch_source(workspace: Workspace, source: Path, run_id: str) -> None:
    """Fetch the files of a run that a model is registered from, where a machine's copy lacks them."""
    run = RunDirectory(workspace.run(run_id))
    if source.parts and ".." not in source.parts and run.exists():
        run.fetch(source.parts[0])


def _restore_blob(workspace: Workspace, record: ModelRecord, digest: str) -> bool:
    """Add a blob again from the model's run, if that still has the file."""
    if record.run_id is None:
        return False
    run = RunDirectory(workspace.run(record.run_id))
    with contextlib.suppress(TrainstackError, OSError):
        for name, recorded in run.read().outputs.items():
            if recorded == digest:
                run.fetch("outputs")
                if workspace.blobs.path(digest).exists():
                    workspace.blobs.distrust(digest)
                workspace.blobs.add(run.outputs / name, expected=digest)
                return True
    return False


def _versions(workspace: Workspace, name: str) -> list[int]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return [int(entry.name) for entry in workspace.model(name).iterdir() if entry.name.isdecimal()]
    return []


def _read_version(workspace: Workspace, name: str, version: int) -> ModelRecord:
    folder = workspace.model(name) / str(version)
    try:
        return ModelRecord(**read_json(folder / _RECORD), path=str(folder / _FILES))
    except (FileNotFoundError, ValidationError, TypeError) as exc:
        raise TrainstackError(f"{folder / _RECORD} is damaged: move {folder} away and run again") from exc


def _update_description(record: ModelRecord, about: dict[str, Any]) -> ModelRecord:
    """The record under a new description; written only when it differs."""
    changed = ModelRecord(**{**record.model_dump(mode="json"), **about}, path=record.path)
    if changed != record:
        write_json(Path(record.path).parent / _RECORD, changed.model_dump(mode="json"))
    return changed


def _store_blob(workspace: Workspace, path: Path, digest: str) -> None:
    """Add a file to the blobs; a blob that was overwritten is replaced."""
    blobs = workspace.blobs
    if blobs.has(digest) and not blobs.verify(digest):
        blobs.path(digest).unlink()
    if not blobs.has(digest):
        blobs.add(path, expected=digest)


def _write_version(workspace: Workspace, content: dict[str, Any]) -> None:
    """Write a version's folder under a temporary name and rename it, so that it is complete or absent."""
    final = workspace.model(content["name"]) / str(content["version"])
    aside = final.with_name(f".{final.name}.tmp")
    with disk_errors(aside):
        for relative, digest in content["files"].items():
            workspace.blobs.link(digest, aside / _FILES / relative)
        write_json(aside / _RECORD, content)
        aside.rename(final)
        descriptor = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_leftovers(workspace: Workspace, name: str) -> None:
    """Remove what a killed registration left aside."""
    for leftover in workspace.model(name).glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
