"""The files that a run leaves: list them, copy them out, put back those that are gone."""

from __future__ import annotations

import shutil
from pathlib import Path

from trainstack.abbreviation import abbreviated
from trainstack.agent.reporting.report import read_report
from trainstack.core.runs.directory import RunDirectory, RunRecord
from trainstack.errors import NotFoundError
from trainstack.storage.atomic import disk_errors
from trainstack.storage.blobs import BlobStore
from trainstack.storage.digest import DigestCache
from trainstack.storage.file_names import is_utf8, printable

# What a run leaves for people; the rest of its directory is machinery.
OFFERED = ("outputs", "logs")


def listing(directory: Path, prefix: str = "") -> list[str]:
    """Paths of a run's files, relative to its directory, that start with `prefix`; sorted, names in UTF-8 alone."""
    paths = (
        path.relative_to(directory).as_posix()
        for folder in OFFERED
        for path in (directory / folder).rglob("*")
        if path.is_file()
    )
    return sorted(name for name in paths if name.startswith(prefix) and is_utf8(name))


def copies(directory: Path, prefix: str, to: Path, *, append_prefix: bool = True) -> dict[str, Path]:
    """Where `download` copies each of a run's files to, by its path in the run's directory.

    Args:
        directory: The run's directory.
        prefix: What the files' paths start with.
        to: The folder to copy into.
        append_prefix: Whether the copies keep the folders of the prefix, as in Azure ML.

    Raises:
        NotFoundError: No file starts so.
    """
    names = listing(directory, prefix)
    if not names:
        examples = abbreviated(listing(directory)) or "no file"
        raise NotFoundError(f"no file of run {directory.name} starts with {prefix!r}: it holds {examples}")
    return {name: to / (name if append_prefix else _below(name, prefix)) for name in names}


def download(directory: Path, prefix: str, to: Path, *, append_prefix: bool = True) -> list[str]:
    """Copy a run's files whose path starts with `prefix` into `to`, folders kept; `copies` says where.

    Returns:
        The paths of the copies.

    Raises:
        NotFoundError: No file starts so.
    """
    planned = copies(directory, prefix, to, append_prefix=append_prefix)
    for name, copy in planned.items():
        with disk_errors(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / name, copy)
    return [str(copy) for copy in planned.values()]


def _below(name: str, prefix: str) -> str:
    """A path without the folders of the prefix; a prefix that ends within a name leaves that name whole."""
    folder = prefix.rstrip("/") + "/"
    if not name.startswith(folder):
        folder = prefix[: prefix.rfind("/") + 1]
    return name.removeprefix(folder)


def beside_outputs(run: RunDirectory, record: RunRecord) -> str:
    """Say what a run wrote into its working folder, which is no output; nothing where it did not.

    Args:
        run: A run that has ended.
        record: Its record.
    """
    written: set[str] = set()
    unnamed = 0
    for node in range(len(list(run.reports.glob("node-*.json")))):
        report = read_report(run.reports, node)
        if report is not None:
            written.update(report.added_files)
            unnamed = max(unnamed, report.added_count - len(report.added_files))
    if not written:
        return ""
    nothing = "" if record.outputs else "left nothing in ./outputs; "
    return f"{nothing}wrote {abbreviated(sorted(written), unnamed=unnamed)} in its working folder"


def digest_outputs(run: RunDirectory) -> dict[str, str]:
    """A run's outputs and their SHA-256; a file whose `stat` is unchanged is not read again.

    Records hold names in UTF-8: a file with another one stays where it is, and is no output.
    """
    names = [name for name in _files(run.outputs) if is_utf8(name)]
    return DigestCache.of_folder("outputs", run.outputs.absolute()).digests(run.outputs, names)


def misnamed(run: RunDirectory) -> str:
    """Say which files in a run's outputs are none, for their names; nothing where there is none."""
    names = [f"outputs/{printable(name)}" for name in _files(run.outputs) if not is_utf8(name)]
    return f"{abbreviated(names)}: no output, because the name is not UTF-8" if names else ""


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def drift(run: RunDirectory, record: RunRecord) -> list[str]:
    """What of a run's outputs is no longer as the run left it, a line a file."""
    digests = digest_outputs(run)
    gone = [f"outputs/{name} is gone" for name in record.outputs if name not in digests]
    return gone + [
        f"outputs/{name} was written over"
        for name, digest in record.outputs.items()
        if name in digests and digests[name] != digest
    ]


def restore(run: RunDirectory, record: RunRecord, blobs: BlobStore) -> list[str]:
    """Put back outputs that are gone or written over, from the workspace's content (a registered model's are there).

    Returns:
        Paths that are gone for good.
    """
    digests = digest_outputs(run)
    lost: list[str] = []
    for name, digest in record.outputs.items():
        path = run.outputs / name
        if digests.get(name) == digest:
            continue
        if not blobs.has(digest):
            lost.append(f"outputs/{name}")
            continue
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(blobs.path(digest), path)
    return lost
