"""A run's directory: its record (`run.json`), its events, and the lock that says whether somebody drives it.

The run directory is the truth about a run. One process at a time writes it, the supervisor, which holds `lock` for as
long as it lives: the kernel lets go of the lock when the process dies, however it dies, so "is it still driven?" never
rests on a process id. `docs/runs.md` draws the state machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from trainstack.core.runs import heartbeat
from trainstack.core.runs.events import FILE as EVENTS_FILE
from trainstack.core.runs.events import record_from_events
from trainstack.core.runs.record import Failure, RunRecord, Stage, Status
from trainstack.core.workspace import origin
from trainstack.errors import NotFoundError, TrainstackError
from trainstack.storage import lease, locks
from trainstack.storage.atomic import disk_errors, read_json, write_json

if TYPE_CHECKING:
    from trainstack.core.runs.request import RunRequest

__all__ = ["Failure", "RunDirectory", "RunRecord", "Stage", "Status"]


RECORDS = ("run.json", "spec.json", EVENTS_FILE, "placement.json", "joined.json")
"""The names of a run's records."""


class RunDirectory:
    """The files of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = root.name

    @property
    def code(self) -> Path:
        """Working directory of the script: its code, and links to `outputs` and `logs`."""
        return self.root / "code"

    @property
    def data(self) -> Path:
        """One folder a dataset."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """`run.txt`, what all ranks print, and whatever the script writes to `./logs`."""
        return self.root / "logs"

    @property
    def outputs(self) -> Path:
        """What the script writes to `./outputs`; kept."""
        return self.root / "outputs"

    @property
    def checkpoints(self) -> Path:
        """Where the script resumes from; emptied on success."""
        return self.root / "checkpoints"

    @property
    def tracking(self) -> Path:
        """What the script logs through MLflow."""
        return self.root / "tracking"

    @property
    def reports(self) -> Path:
        """How each node ended."""
        return self.root / "nodes"

    @property
    def merged_log(self) -> Path:
        """Everything that all ranks print."""
        return self.logs / "run.txt"

    def exists(self) -> bool:
        """Whether the run was ever submitted."""
        return (self.root / "run.json").is_file() or self._fetch_record("run.json")

    def read(self) -> RunRecord:
        """Read the record; a run that nobody drives any more but that never ended reads as interrupted.

        A damaged record of a run that nobody drives is told from the run's history.

        Raises:
            NotFoundError: There is no such run.
            TrainstackError: The record is damaged, and a supervisor will write it anew or there is no history.
        """
        try:
            record = self.read_file()
        except NotFoundError:
            raise
        except TrainstackError:
            history = None if self.has_supervisor() else record_from_events(self.root)
            if history is None:
                raise
            return history
        if not record.status.ended and record.attempt > 0 and not self.has_supervisor() and not self._is_elsewhere():
            # Read again: it may have ended between the two looks.
            record = self.read_file()
            if not record.status.ended:
                record.reason = f"its supervisor was killed while {record.status.value}"
                record.status = Status.INTERRUPTED
        elif not record.status.ended and (silence := self._silence(record)) >= heartbeat.HUNG_SECONDS:
            record.reason = (
                f"its supervisor hangs, no sign for {silence:.0f} s: `trainstack runs stop {self.id}` ends it"
            )
        return record

    def _silence(self, record: RunRecord) -> float:
        """Seconds without a sign of the supervisor, which also writes the record."""
        return min(heartbeat.silence(self.root), time.time() - record.updated)

    def read_file(self) -> RunRecord:
        """Read the record as it is written.

        Raises:
            NotFoundError: There is no such run.
            TrainstackError: The record is damaged.
        """
        path = self.root / "run.json"
        if not path.is_file():
            self._fetch_record(path.name)
        try:
            return RunRecord.model_validate(read_json(path))
        except FileNotFoundError as exc:
            raise NotFoundError(f"no run {self.id} in {self.root.parent}") from exc
        except (ValidationError, TrainstackError) as exc:
            raise TrainstackError(f"{path} is damaged: `trainstack fsck --repair` writes it anew") from exc

    def write(self, record: RunRecord) -> None:
        """Replace the record whole. Only the holder of the lock writes."""
        record.updated = time.time()
        write_json(self.root / "run.json", record.model_dump(mode="json"))

    def request(self) -> RunRequest:
        """Read what was submitted.

        Raises:
            TrainstackError: It is damaged, or of another version.
        """
        # Loaded here: commands that list runs read records alone, and stay quick.
        from trainstack.core.runs.request import RunRequest

        path = self.root / "spec.json"
        if not path.is_file():
            self._fetch_record(path.name)
        return RunRequest.model_validate(read_json(path))

    def event(self, kind: str, **facts: Any) -> None:
        """Append one line to the run's history."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind, **facts})
        path = self.root / EVENTS_FILE
        with disk_errors(path), path.open("a+b") as file:
            # A full disk or a kill may have cut the last line short; this one must not be lost with it.
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
                line = "\n" + line
            file.write(f"{line}\n".encode())

    def fetch_records(self) -> None:
        """Fetch all records that this machine's copy of a workspace in an object store lacks of the run."""
        missing = [f"runs/{self.id}/{name}" for name in RECORDS if not (self.root / name).is_file()]
        origin.fetch_records(self._workspace, missing)

    def fetch(self, *folders: str) -> None:
        """Fetch files that this machine's copy of a workspace in an object store lacks; a run driven here has all.

        Args:
            *folders: `outputs`, `logs`, `tracking`, `checkpoints`, or folders in them; all when left out.

        Raises:
            DigestMismatchError: An output is damaged in the store.
            TrainstackError: The store refuses or does not answer, or the disk is full.
        """
        if not self.is_copy:
            return
        digests = {f"runs/{self.id}/outputs/{name}": digest for name, digest in self.read_file().outputs.items()}
        for folder in folders or ("",):
            prefix = f"runs/{self.id}/{folder}".rstrip("/")
            origin.fetch(self._workspace, origin.listing(self._workspace, prefix), digests)

    @property
    def is_copy(self) -> bool:
        """Whether an object store has the run's truth, and nothing here writes it just now."""
        return origin.origin_of(self._workspace) is not None and not self.has_supervisor()

    def refresh(self, *folders: str) -> None:
        """Fetch the record and files of a run that another machine may be writing, as they are now; see `fetch`.

        Raises:
            TrainstackError: The store refuses or does not answer.
        """
        if self.is_copy:
            origin.refresh_record(self._workspace, f"runs/{self.id}/run.json")
            self.fetch(*folders)

    @property
    def _workspace(self) -> Path:
        return self.root.absolute().parents[1]

    def _fetch_record(self, name: str) -> bool:
        return bool(origin.fetch_records(self._workspace, [f"runs/{self.id}/{name}"]))

    def _is_elsewhere(self) -> bool:
        """Whether another machine drives the run, by the lease that it has in the workspace's store."""
        store = origin.origin_of(self._workspace)
        owner = lease.owner_of(store, f"runs/{self.id}") if store else ""
        return bool(owner) and not lease.is_here(owner)

    @contextlib.contextmanager
    def lock(self) -> Generator[bool]:
        """Try to become the one that drives the run; gives whether that succeeded.

        The lock belongs to the process and to nothing that it starts, and ends with it.
        """
        with locks.try_exclusive(self.root / "lock", locks.LOOK_SECONDS, make_folder=False) as acquired:
            yield acquired

    def has_supervisor(self) -> bool:
        """Whether a live supervisor holds the run."""
        return locks.is_locked(self.root / "lock")
