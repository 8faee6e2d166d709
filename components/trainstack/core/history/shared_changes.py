"""What other machines have changed in a workspace's store since this machine's history was told of it.

Each machine has a history of its own: two never write one database. So that it has the others' runs too, their records
are looked at now and then. What was told is noted beside the history, and goes with it when it is built anew.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from trainstack.core.replication.record_pull import pull_records
from trainstack.core.runs.store_runs import StoreRuns
from trainstack.core.tracking.queue import MODEL_PREFIX, SWEEP_PREFIX
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage import lease
from trainstack.storage.store import Store

LOOK_SECONDS = 20.0
_FOLDERS = {"models": MODEL_PREFIX, "sweeps": SWEEP_PREFIX}
# In place of a version, where a record may change at any time, or is not what its driver would have left.
_GOES_ON, _LEFT_ALONE = "goes on", "left alone"


class SharedChanges:
    """Runs, models and sweeps of a machine's copy of a workspace in a store that the history has in another version."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        """Prepare to look.

        Args:
            workspace: This machine's copy.
            store: What it is a copy of.
        """
        self._workspace, self._store = workspace, store
        self._notes = workspace.history / "shared.db"
        self._next_look = 0.0

    def forget(self) -> None:
        """Take everything for changed at the next look: the history is a new one."""
        self._notes.unlink(missing_ok=True)
        self._next_look = 0.0

    def queue(self, pending: Path) -> None:
        """Put what has changed among the entries that are to be mirrored; does nothing between two looks.

        Args:
            pending: The folder with a file an entry.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        if time.monotonic() < self._next_look:
            return
        pull_records(self._store, self._workspace)
        runs = StoreRuns(self._workspace.root, self._store).versions()
        for run_id in [run_id for run_id, version in runs.items() if not version]:
            goes_on = lease.owner_of(self._store, f"runs/{run_id}")
            runs[run_id] = _GOES_ON if goes_on else _LEFT_ALONE
        with closing(sqlite3.connect(self._notes)) as notes, notes:
            for entry in self._note({**runs, **self._registered()}, notes):
                (pending / entry).touch()
        self._next_look = time.monotonic() + LOOK_SECONDS

    def _note(self, now: Mapping[str, str], notes: sqlite3.Connection) -> list[str]:
        """Note the versions of now; returns the entries that differ from what was noted."""
        notes.execute("CREATE TABLE IF NOT EXISTS told (entry TEXT PRIMARY KEY, version TEXT)")
        told = dict(notes.execute("SELECT entry, version FROM told"))
        changed = [entry for entry, version in now.items() if version == _GOES_ON or told.get(entry) != version]
        gone = [entry for entry in told if entry not in now]
        notes.executemany("INSERT OR REPLACE INTO told VALUES (?, ?)", [(entry, now[entry]) for entry in changed])
        notes.executemany("DELETE FROM told WHERE entry = ?", [(entry,) for entry in gone])
        return [*changed, *gone]

    def _registered(self) -> dict[str, str]:
        """Models and sweeps with the time of their last change here, where they have been pulled to."""
        versions: dict[str, str] = {}
        for folder, prefix in _FOLDERS.items():
            root = self._workspace.root / folder
            for path in (*root.glob("*/*.json"), *root.glob("*/*/*.json")):
                name = prefix + path.relative_to(root).parts[0]
                versions[name] = max(versions.get(name, ""), str(path.stat().st_mtime_ns))
        return versions
