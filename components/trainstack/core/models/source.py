"""The files at a model's path: in a run's directory, or anywhere on this machine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from trainstack.abbreviation import abbreviated
from trainstack.core.runs.artifacts import listing
from trainstack.core.runs.directory import RunDirectory, Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.digest import DigestCache
from trainstack.storage.file_names import is_utf8, printable

_SHOWN = 10


def resolve_source(workspace: Workspace, source: Path, run_id: str | None = None) -> Path:
    """Find the file or folder that a model is registered from.

    Args:
        workspace: The workspace.
        source: With a run, a path in its directory, such as `outputs/model`; else any path.
        run_id: The run that made it, if one did.

    Returns:
        Its absolute path, without symbolic links.

    Raises:
        InvalidInputError: The path leads out of the run's directory.
        NotFoundError: There is nothing; the message lists what the run did leave.
    """
    if run_id is None:
        if not source.exists():
            raise NotFoundError(f"no model at {source}: name the file or folder that holds it")
        return source.resolve()
    directory = workspace.run(run_id).resolve()
    if not directory.is_dir():
        raise NotFoundError(f"no run {run_id!r} in {workspace.root}: `trainstack runs list` shows them")
    if ".." in source.parts:
        raise InvalidInputError(f"the model's path {str(source)!r} must not hold '..'", field="path")
    path = (directory / source).resolve()
    if path != directory and not path.is_relative_to(directory):
        raise InvalidInputError(
            f"the model's path {str(source)!r} leads out of the run's directory, to {path}: "
            "name one that the run wrote, such as outputs/model",
            field="path",
        )
    if path == directory:
        raise InvalidInputError("the model's path is the whole run: name a part, such as outputs/model", field="path")
    if not path.exists():
        raise NotFoundError(f"run {run_id} left nothing at {str(source)!r}: {_list_outputs(directory)}")
    return path


def framework_version(workspace: Workspace, framework: str, run_id: str) -> str | None:
    """Return the version of a framework in the lock of the run that made a model; None where it has none."""
    try:
        packages = RunDirectory(workspace.run(run_id)).request().spec.environment.packages
    except (OSError, ValueError, TrainstackError):
        # Another Trainstack's run: what it was made with is not told.
        return None
    name = framework.lower()
    variants = (name, *(f"{name}-{kind}" for kind in ("cpu", "gpu", "intel", "macos", "rocm")))
    return next((packages[variant] for variant in variants if variant in packages), None)


def check_left(workspace: Workspace, run_id: str, path: str) -> None:
    """Make sure that a finished run left something at a path; nothing is known of one that has not finished.

    Raises:
        NotFoundError: It left nothing there; the message lists what it did leave.
    """
    try:
        run = RunDirectory(workspace.run(run_id))
        record = run.read()
    except NotFoundError:
        return
    below = f"{PurePosixPath(path)}/"
    if record.status is not Status.COMPLETED or (run.root / path).exists():
        return
    # What is gone from the disk comes back with the next update.
    if not any(f"outputs/{name}/".startswith(below) for name in record.outputs):
        raise NotFoundError(f"run {run_id} left nothing at {path!r}: {_list_outputs(run.root)}")


def source_files(path: Path) -> dict[str, Path]:
    """List a model's files.

    Args:
        path: A folder, or a single file.

    Returns:
        Relative POSIX path (for a single file, its name) to where its bytes are, sorted.

    Raises:
        InvalidInputError: The folder holds no file, or something that is none, or a link out of the folder.
        NotFoundError: There is nothing at `path`.
    """
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise NotFoundError(f"no model at {path}: name the file or folder that holds it")
    root = path.resolve()
    files: dict[str, Path] = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            entry = Path(folder, name)
            relative = entry.relative_to(root).as_posix()
            real = entry.resolve()
            if not is_utf8(name):
                raise InvalidInputError(
                    f"{printable(relative)} in the model {path} has a name that is not UTF-8: rename it", field="path"
                )
            if entry.is_symlink() and (not real.is_relative_to(root) or real.is_dir()):
                raise InvalidInputError(
                    f"{relative} in the model {path} is a link to {real}: put the file itself there", field="path"
                )
            if real.is_file():
                files[relative] = real
            elif not real.is_dir():
                raise InvalidInputError(f"{relative} in the model {path} is neither file nor folder", field="path")
    if not files:
        raise InvalidInputError(f"the model folder {path} holds no file", field="path")
    return dict(sorted(files.items()))


def file_digests(files: dict[str, Path]) -> dict[str, str]:
    """Digest files, several at once: relative path to hex SHA-256."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(files, pool.map(digests.of_file, files.values()), strict=True))


def remembered_digests(path: Path) -> dict[str, str]:
    """Digest a model's files, those that did not change since from memory: relative path to hex SHA-256.

    Args:
        path: A folder, or a single file.

    Raises:
        InvalidInputError: As `source_files`, or a file cannot be read.
        NotFoundError: There is nothing at `path`.
    """
    real = path.resolve()
    root = real.parent if real.is_file() else real
    try:
        return DigestCache.of_folder("model", root).digests(root, source_files(real))
    except OSError as exc:
        raise InvalidInputError(f"cannot read {exc.filename}: {exc.strerror}", field="path") from exc


def source_digest(path: Path) -> str:
    """One digest over a model's relative paths and the SHA-256 of each file.

    Args:
        path: A folder, or a single file.

    Raises:
        InvalidInputError: As `source_files`.
        NotFoundError: There is nothing at `path`.
    """
    return digests.of_tree(file_digests(source_files(path)))


def _list_outputs(directory: Path) -> str:
    names = list(listing(directory, "outputs"))
    if not names:
        return "its outputs are empty"
    return f"its outputs are {abbreviated(names, _SHOWN)}"
