"""Trainstack's own code in a workspace's store: the pods that drive runs have what the submitting machine has."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import trainstack
from trainstack.storage import digest
from trainstack.storage.store import Store

_PACKAGE = Path(str(trainstack.__file__)).parent
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Equal code has an equal archive: a file's time does not count."""


def upload(store: Store) -> str:
    """Put the code into a store, unless it is there.

    Args:
        store: The workspace's.

    Returns:
        Its key: `packages/` and the archive's SHA-256.

    Raises:
        TrainstackError: The store refuses or does not answer.
    """
    archive = _archive()
    key = f"packages/{digest.of_bytes(archive)}.zip"
    if any(item.key == key for item in store.list("packages")):
        return key
    with tempfile.NamedTemporaryFile() as file:
        file.write(archive)
        file.flush()
        store.upload(Path(file.name), key)
    return key


def _archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_PACKAGE.rglob("*")):
            relative = path.relative_to(_PACKAGE.parent)
            if path.is_file() and "__pycache__" not in relative.parts:
                archive.writestr(zipfile.ZipInfo(str(relative), _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
