"""A workspace's folder as a store that keeps what follows from its records: linked models, the index, the history."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path

from trainstack.core.runs import index
from trainstack.core.tracking.queue import MODEL_PREFIX, SWEEP_PREFIX, enqueue
from trainstack.core.workspace.origin import origin_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.atomic import disk_errors, write_bytes
from trainstack.storage.folder_store import FolderStore
from trainstack.storage.store import Store, blob_digest

_QUEUED = {"runs": "", "models": MODEL_PREFIX, "sweeps": SWEEP_PREFIX}


class WorkspaceFolder(FolderStore):
    """The folder of a workspace on this machine."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace.root)
        self._workspace = workspace

    def create(self, key: str, data: bytes) -> str:
        """Write a record where there is none; a model's version appears with its files, except in a machine's copy."""
        if key.startswith("models/") and key.endswith("/model.json") and origin_of(self.root) is None:
            self._create_model(self.path(key).parent, data)
            version = self.version(key)
        else:
            version = super().create(key, data)
        self._enqueue(key)
        return version

    def replace(self, key: str, data: bytes, version: str) -> str:
        """Write over a version of a record."""
        if key.startswith("runs/"):
            index.forget(self._workspace, key.split("/")[1])
        renewed = super().replace(key, data, version)
        self._enqueue(key)
        return renewed

    def fetch(self, store: Store, key: str, digest: str | None) -> tuple[str, str]:
        """Download content from another store.

        Args:
            store: Where from.
            key: The content.
            digest: Hex SHA-256 that it must have, where it is known.

        Returns:
            Its versions there and here.

        Raises:
            DigestMismatchError: It has another digest there.
            FileNotFoundError: It is not there.
        """
        blob = blob_digest(key)
        if blob is None:
            return store.download(key, self.path(key), digest), self.version(key)
        unfinished = self._workspace.blobs.partial(f"{secrets.token_hex(8)}.pull")
        try:
            version = store.download(key, unfinished)
            self._workspace.blobs.adopt(unfinished, blob)
        finally:
            unfinished.unlink(missing_ok=True)
        return version, self.version(key)

    def _create_model(self, folder: Path, data: bytes) -> None:
        """Lay a model's files out beside its record, under another name until all is there."""
        aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        try:
            with disk_errors(aside):
                for relative, digest in json.loads(data)["files"].items():
                    self._workspace.blobs.link(digest, aside / "files" / relative)
                write_bytes(aside / "model.json", data)
                if folder.exists():
                    raise FileExistsError(folder)
                aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _enqueue(self, key: str) -> None:
        folder, _, below = key.partition("/")
        if folder in _QUEUED:
            enqueue(self._workspace, _QUEUED[folder] + below.partition("/")[0])
