"""Whether anything more is to be expected of a run, seen from outside its supervisor."""

from __future__ import annotations

from trainstack.core.runs.directory import RunDirectory, RunRecord
from trainstack.storage import locks


def settled(directory: RunDirectory, record: RunRecord) -> bool:
    """Whether a run stays as it is until somebody submits it again.

    Between a submission's first write and its supervisor's there is a moment in which the record says that the run
    ended in the attempt before, or has not begun; the submission's own lock tells that moment from the real thing.

    Args:
        directory: The run.
        record: What was just read of it.
    """
    if not record.status.ended and record.attempt > 0:
        return False
    return not locks.is_locked(directory.root / "submit.lock") and not directory.has_supervisor()


def never_started(directory: RunDirectory, record: RunRecord) -> bool:
    """Whether a run was submitted, but its submission was killed before it could start anything."""
    if record.attempt > 0 or not settled(directory, record):
        return False
    # Read again: it may have begun between the two looks.
    return directory.read().attempt == 0
