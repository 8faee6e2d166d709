"""What a run that is driven elsewhere says of itself in the store: its record, log and metrics, in a folder to look at.

Not this machine's copy of the run, which is whole and takes part in pushes and pulls: what is only looked at is fetched
every second while it changes, and never sent anywhere.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path

from trainstack.core.runs.directory import RunDirectory, RunRecord
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError
from trainstack.storage.store import Item, Store

_RECORD = "run.json"
_LOOKED_AT = (_RECORD, "events.jsonl", "logs/run.txt")
_METRICS = "tracking/"


class RunView:
    """A run in a store, as of the last look."""

    def __init__(self, workspace: Workspace, store: Store, run_id: str) -> None:
        """Look at a run; contacts nobody yet.

        Args:
            workspace: This machine's copy of the workspace.
            store: The workspace's.
            run_id: The run.
        """
        self._store = store
        self._folder = f"runs/{run_id}"
        self._versions: dict[str, str] = {}
        # Of its own: whoever else looks at the run meanwhile has another, and the name of a run directory is its id.
        self._root = workspace.root / "cache" / "views" / secrets.token_hex(4) / run_id

    @property
    def directory(self) -> RunDirectory:
        """The folder with what was fetched."""
        return RunDirectory(self._root)

    def look(self) -> RunRecord | None:
        """Fetch what has changed.

        Returns:
            The run's record as it is written; none where there is no such run.

        Raises:
            TrainstackError: The store refuses or does not answer, or has a damaged record.
        """
        changed = [item for item in self._store.list(self._folder) if self._is_new(item)]
        # The record last: what it says is there then.
        for item in sorted(changed, key=lambda item: item.key.endswith(f"/{_RECORD}")):
            path = self._path(item.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            # What was removed since it was listed is no part of the run any more.
            with contextlib.suppress(FileNotFoundError):
                self._versions[item.key] = self._store.download(item.key, path)
        try:
            return self.directory.read_file()
        except NotFoundError:
            return None

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._root.parent, ignore_errors=True)

    def _is_new(self, item: Item) -> bool:
        name = item.key.removeprefix(f"{self._folder}/")
        wanted = name in _LOOKED_AT or name.startswith(_METRICS)
        return wanted and self._versions.get(item.key) != item.version

    def _path(self, key: str) -> Path:
        return self._root / key.removeprefix(f"{self._folder}/")
