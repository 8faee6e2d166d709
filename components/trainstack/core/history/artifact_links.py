"""A run's files as artifacts of the server: by hard link, so that no byte is stored twice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from trainstack.core.history.client_ids import ClientIds
from trainstack.mlflow import plain_files
from trainstack.storage.file_names import is_utf8

_MODEL = "MLmodel"
"""The document of a model, which names its run and the model by their ids."""


def files(folder: Path, target: PurePosixPath) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield the files below a folder, and where each is below `target`."""
    for path in plain_files.files_below(folder):
        relative = path.relative_to(folder).as_posix()
        if is_utf8(relative):
            yield path, target / relative


def link(source: Path, target: Path, ids: ClientIds) -> None:
    """Make a file an artifact; a model's document is a copy that names the server's ids.

    Args:
        source: The file.
        target: Where it is shown.
        ids: The ids of the script's client and of the server.
    """
    # A file that is gone meanwhile, or that the script still writes, is for the next time.
    with contextlib.suppress(OSError):
        if source.name == _MODEL:
            text = plain_files.read_text(source, errors="surrogateescape")
            if (translated := ids.translate(text)) != text:
                _write(target, translated)
                return
        if target.exists():
            if target.samefile(source):
                return
            target.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)


def _write(target: Path, text: str) -> None:
    if target.is_file() and target.read_text(encoding="utf-8", errors="surrogateescape") == text:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}")
    aside.write_text(text, encoding="utf-8", errors="surrogateescape")
    aside.replace(target)
