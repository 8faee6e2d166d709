"""List the files of a local path, folder or glob, by name; no content is read."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainstack.errors import InvalidInputError
from trainstack.storage.paths import is_below


@dataclass(frozen=True)
class LocalFiles:
    """The files of one local path, folder or glob.

    Attributes:
        base: The folder that the names are relative to.
        names: Relative POSIX paths, sorted; also the files' names in the dataset.
    """

    base: str
    names: tuple[str, ...]


def local_files(paths: Iterable[str]) -> list[LocalFiles]:
    """Expand local files, folders and globs.

    A file keeps its own name, files below a folder keep their path in it, and files that match a glob keep their
    path from the last folder that the glob writes out.

    Args:
        paths: Absolute paths.

    Raises:
        InvalidInputError: A path is missing or holds no file, or a link leaves its folder.
    """
    groups: list[LocalFiles] = []
    for path in paths:
        try:
            groups.append(_expand(path))
        except OSError as exc:
            where = str(exc.filename or path).rstrip("/")
            raise InvalidInputError(f"cannot read {where}: {exc.strerror}", field="paths") from exc
    return groups


def _expand(path: str) -> LocalFiles:
    if not path:
        raise InvalidInputError("an entry of paths is empty: name a file, a folder or a glob", field="paths")
    location = Path(path)
    if location.is_dir():
        base, names, missing = path, _folder_files(path), f"{path!r} is a folder without files: name another"
    elif location.is_file():
        return LocalFiles(str(location.parent), (location.name,))
    elif glob.has_magic(path) and not os.path.lexists(path):
        base, names = _glob_files(path)
        missing = f"no file matches {path!r}: mind that '*' stays in one folder, '**' goes below it"
    else:
        raise InvalidInputError(f"no file or folder {path!r}: name one, or a glob that matches some", field="paths")
    if not names:
        raise InvalidInputError(missing, field="paths")
    return LocalFiles(base, tuple(sorted(names)))


def _folder_files(base: str) -> list[str]:
    """All files below a folder. Links inside it are followed; sockets, pipes and devices hold no data."""
    root = os.path.realpath(base)
    names: list[str] = []
    # A folder still to look at, and the real folders that links have led to on the way there.
    pending: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while pending:
        folder, followed = pending.pop()
        with os.scandir(f"{base}/{folder}") as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                link = _checked_link(root, base, name) if entry.is_symlink() else None
                if entry.is_file():
                    names.append(name)
                elif entry.is_dir():
                    if link is not None and link in followed:
                        raise _circular_link(base, name)
                    pending.append((f"{name}/", (*followed, link) if link else followed))
    return names


def _glob_files(pattern: str) -> tuple[str, set[str]]:
    """The last folder that a glob writes out, and the files that match, relative to it."""
    parts = pattern.split("/")
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    base = "/".join(parts[:fixed]) or "/"
    root = os.path.realpath(base)
    names: set[str] = set()
    folders: dict[str, tuple[str, ...]] = {"": (root,)}
    for name in glob.iglob("/".join(parts[fixed:]), root_dir=base, recursive=True):  # noqa: PTH207 (as above)
        path = f"{base}/{name}"
        is_file = os.path.isfile(path)  # noqa: PTH113 (a Path object a file costs more than the question)
        if os.path.islink(path) and (is_file or not os.path.exists(path)):  # noqa: PTH110, PTH114
            _checked_link(root, base, name)
        if not is_file:
            continue
        _check_folder(root, base, name.rpartition("/")[0], folders)
        names.add(name)
    return base, names


def _check_folder(root: str, base: str, folder: str, real_folders: dict[str, tuple[str, ...]]) -> None:
    """Check the folder of a file that matched, once; `real_folders` keeps the real folders on the way to each."""
    if folder in real_folders:
        return
    above = folder.rpartition("/")[0]
    _check_folder(root, base, above, real_folders)
    real = _checked_link(root, base, folder)
    if real in real_folders[above]:
        raise _circular_link(base, folder)
    real_folders[folder] = (*real_folders[above], real)


def _circular_link(base: str, name: str) -> InvalidInputError:
    return InvalidInputError(f"the link {name} in {base!r} leads back into itself: remove it", field="paths")


def _checked_link(root: str, base: str, name: str) -> str:
    """Where a link leads.

    Raises:
        InvalidInputError: Out of the folder, or nowhere.
    """
    real = os.path.realpath(f"{base}/{name}")
    if not is_below(root, real):
        raise InvalidInputError(
            f"{name} in {base!r} is a link that leaves the folder: copy the file in, or name its own folder in paths",
            field="paths",
        )
    if not os.path.exists(real):  # noqa: PTH110
        raise InvalidInputError(f"{name} in {base!r} is a link to nothing: remove it", field="paths")
    return real
