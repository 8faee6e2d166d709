"""Write damaged run records anew from the runs' histories, which is all that `fsck --repair` can mend without Pulumi.

What `pulumi refresh` finds and `pulumi up` puts back, data, models and outputs, stays with those two.
"""

from __future__ import annotations

from pathlib import Path

from trainstack.core.maintenance import references
from trainstack.core.runs import index, recovery
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.events import record_from_events
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks


def repair_run_records(workspace: Workspace) -> list[tuple[Path, str]]:
    """Write anew each run record that cannot be read, where nobody drives the run and it has a history.

    Args:
        workspace: The workspace.

    Returns:
        Each record's file, and what was done, in one line.
    """
    with locks.shared(workspace.records_lock):
        damaged = [path for path, record in references.run_records(workspace) if isinstance(record, TrainstackError)]
        notes = [(path, _repaired(workspace, RunDirectory(path.parent))) for path in damaged]
    return [(path, note) for path, note in notes if note]


def _repaired(workspace: Workspace, directory: RunDirectory) -> str:
    with locks.exclusive(directory.root / "submit.lock"), directory.lock() as acquired:
        record = record_from_events(directory.root)
        if not acquired or record is None or not recovery.is_damaged(directory):
            return ""
        index.forget(workspace, directory.id)
        return recovery.recovered(directory, record)
