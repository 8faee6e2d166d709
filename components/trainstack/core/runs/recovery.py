"""Write a run's record anew when `run.json` is damaged or gone, from what else the run directory holds."""

from __future__ import annotations

from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.events import read_events, record_from_events
from trainstack.core.runs.request import RunRequest
from trainstack.errors import NotFoundError, TrainstackError


def recovered(directory: RunDirectory, record: RunRecord) -> str:
    """Move a damaged record aside and write another. Only where nobody drives the run.

    Args:
        directory: The run.
        record: What to write.

    Returns:
        What was done, in one line.
    """
    damaged = directory.root / "run.json"
    aside = next(
        path for number in range(1, 10_000) if not (path := damaged.with_name(f"run.json.damaged-{number}")).exists()
    )
    note = "run.json was gone; "
    if damaged.exists():
        damaged.replace(aside)
        note = f"run.json was damaged and is kept as {aside.name}; "
    directory.write(record)
    note += "written anew, complete" if record.status is Status.COMPLETED else "the run goes on with what it has saved"
    directory.event("recovered", note=note)
    return note


def record_of(directory: RunDirectory, request: RunRequest) -> RunRecord:
    """Tell a run's record from its history, and what its history lacks from what is being submitted."""
    record = record_from_events(directory.root)
    if record is None:
        return RunRecord.submitted(directory.id, request.name, request.tags)
    record.name, record.tags = request.name, request.tags
    return record


def is_damaged(directory: RunDirectory) -> bool:
    """Whether there is a record that cannot be read, or a history without one."""
    try:
        directory.read_file()
    except NotFoundError:
        return any(event["kind"] == "stage" for event in read_events(directory.root))
    except TrainstackError:
        return True
    return False
