"""A version that has all of an earlier one, and more."""

from __future__ import annotations

from collections.abc import Mapping

from trainstack.core.datasets.dataset_record import DatasetRecord
from trainstack.errors import InvalidInputError


def merged(before: DatasetRecord, old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return what stands for the content of each file, by path, once files are appended.

    Args:
        before: The version that they are appended to.
        old: Its files.
        new: The files to append; those that it has already count once.

    Raises:
        InvalidInputError: A file is there already with other content, or as a folder.
    """
    for name, content in new.items():
        if old.get(name, content) != content:
            raise InvalidInputError(
                f"{name!r} of dataset {before.name!r} has changed since version {before.version}, and append replaces "
                "nothing: write it under another name, or leave append out, which makes a version of what is there now",
                field="append",
            )
    old_folders = {folder for name in old for folder in _folders(name)}
    clashes = [name for name in new.keys() - old.keys() if name in old_folders]
    clashes += [folder for name in new for folder in _folders(name) if folder in old]
    if clashes:
        raise InvalidInputError(
            f"{min(clashes)!r} would be a file and a folder of dataset {before.name!r}: rename one", field="append"
        )
    return {**old, **new}


def _folders(name: str) -> list[str]:
    return [name[:position] for position, character in enumerate(name) if character == "/"]
