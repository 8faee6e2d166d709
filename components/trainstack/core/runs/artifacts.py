"""The files that a run leaves: list them, copy them out, put back those that are gone."""

from __future__ import annotations

import shutil
from pathlib import Path

from trainstack.abbreviation import abbreviated
from trainstack.agent.reporting.report import read_report
from trainstack.core.runs.directory import RunDirectory, RunRecord
from trainstack.core.workspace import origin
from trainstack.errors import NotFoundError
from trainstack.storage.atomic import disk_errors
from trainstack.storage.blobs import BlobStore
from trainstack.storage.digest import DigestCache
from trainstack.storage.file_names import is_utf8, printable

# What a run leaves for people; the rest of its directory is machinery.
OFFERED = ("outputs", "logs")


def listing(directory: Path, prefix: str = "") -> dict[str, int]:
    """List a run's files, here or in the store that the workspace is a copy of.

    Args:
        directory: The run's directory.
        prefix: What their paths start with.

    Returns:
        Their sizes in bytes by their paths in the run's directory; sorted, names in UTF-8 alone.
    """
    root, folder = directory.absolute().parents[1], f"runs/{directory.name}/"
    sizes: dict[str, int] = {}
    for offered in OFFERED:
        if prefix.startswith(offered) or offered.startswith(prefix):
            stored = origin.listing(root, folder + offered)
            sizes |= {key.removeprefix(folder): item.size for key, item in stored.items()}
            for path in (directory / offered).rglob("*"):
                if path.is_file():
                    sizes[path.relative_to(directory).as_posix()] = path.stat().st_size
    return {name: sizes[name] for name in sorted(sizes) if name.startswith(prefix) and is_utf8(name)}


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
        examples = abbreviated(list(listing(directory))) or "no file"
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
    run = RunDirectory(directory)
    if any(not (directory / name).is_file() for name in planned) or not run.has_supervisor():
        run.fetch(*{name.partition("/")[0] for name in planned})
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


def are_kept(run: RunDirectory) -> bool:
    """Whether a completed run's outputs are where they were; those of a copy of a workspace are in its store."""
    return run.outputs.is_dir() or origin.origin_of(run.root.absolute().parents[1]) is not None


def drift(run: RunDirectory, record: RunRecord) -> list[str]:
    """What of a run's outputs is no longer as the run left it, a line a file."""
    digests = _kept_digests(run, record)
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
    digests = _kept_digests(run, record)
    lost: list[str] = []
    for name, digest in record.outputs.items():
        path = run.outputs / name
        if digests.get(name) == digest:
            continue
        blobs.obtain([digest])
        if not blobs.has(digest):
            lost.append(f"outputs/{name}")
            continue
        with disk_errors(path):
            _remove_links(run.outputs, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(blobs.path(digest), path)
    return lost


def _remove_links(folder: Path, path: Path) -> None:
    """Remove links on the way from a folder to a file below it, so that what is written there stays there."""
    for place in (path, *path.parents):
        if place == folder:
            return
        if place.is_symlink():
            place.unlink()


def _kept_digests(run: RunDirectory, record: RunRecord) -> dict[str, str]:
    """Digests of a run's outputs by name; one that only the store has was verified there when it was pushed."""
    folder = f"runs/{run.id}/outputs/"
    names = {key.removeprefix(folder) for key in origin.listing(run.root.absolute().parents[1], folder.rstrip("/"))}
    return {name: record.outputs[name] for name in names if name in record.outputs} | digest_outputs(run)
