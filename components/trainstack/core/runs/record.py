"""What is written down about a run: its status and stages, and how it failed."""

from __future__ import annotations

import enum
import time

from pydantic import BaseModel, ConfigDict

from trainstack.core.workspace.inside_name import InsideName


class Status(enum.StrEnum):
    """Where a run is. The first four are its stages, the others are ends."""

    PREPARING = "preparing"
    SCALING = "scaling"
    RUNNING = "running"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELED, Status.INTERRUPTED)


class Stage(BaseModel):
    """One stage of one attempt.

    Attributes:
        name: The stage.
        reason: What it is doing or waited for, in a few words.
        started: Seconds since the epoch.
        ended: Seconds since the epoch; none while it lasts.
    """

    model_config = ConfigDict(defer_build=True)

    name: Status
    reason: str = ""
    started: float
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it lasted, or has lasted."""
        return (self.ended or time.time()) - self.started


class Cause(enum.StrEnum):
    """What kind of end an attempt came to; decides whether another may cure it."""

    EXIT_CODE = "exit code"
    SIGNAL = "signal"
    OUT_OF_MEMORY = "out of memory"
    LOST_NODE = "lost node"
    PREEMPTED = "preempted"
    CHANGED_INPUTS = "changed inputs"
    OTHER = "other"


class Failure(BaseModel):
    """Why an attempt ended badly.

    Attributes:
        cause: What kind of end it was.
        reason: What ended first and how, in a few words.
        rank: The first rank that failed, where one did.
        exit_code: Its exit code, where it had one.
        signal: The signal that ended it, where one did.
        tail: Its last lines.
        log: The log to read on.
    """

    model_config = ConfigDict(defer_build=True)

    cause: Cause = Cause.OTHER
    reason: str = ""
    rank: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    tail: list[str] = []
    log: str = ""


class RunRecord(BaseModel):
    """What `run.json` says.

    Attributes:
        id: The run's id, the start of its fingerprint.
        name: The name its author gave.
        status: Where it is.
        reason: Why it is there, in one line.
        attempt: How often it was started, from 1; 0 before the first start.
        resumed: From where the current attempt went on, in a few words; empty for a first attempt.
        stages: The stages of the current attempt.
        created: Seconds since the epoch of its submission.
        updated: Seconds since the epoch of the last change.
        duration: Seconds that the successful attempt's stage `running` lasted: what counts in estimates and prices.
        earlier_node_seconds: Seconds that nodes were held by the attempts before the current one.
        node_seconds: The same for all attempts, known at the end.
        cost: What that came to; none where a node has no price.
        currency: What the cost is in.
        metrics: Last value of each metric.
        outputs: Digest of each file below `outputs/` (relative path to SHA-256), known once completed.
        failure: How it failed.
        supervisor: Process id of the supervisor of the current attempt.
        tags: Who submitted it, from which stack and commit.
    """

    model_config = ConfigDict(extra="ignore", defer_build=True)

    id: str
    name: str
    status: Status
    reason: str = ""
    attempt: int = 0
    resumed: str = ""
    stages: list[Stage] = []
    created: float
    updated: float
    duration: float | None = None
    earlier_node_seconds: float = 0.0
    node_seconds: float | None = None
    cost: float | None = None
    currency: str = ""
    metrics: dict[str, float] = {}
    outputs: dict[InsideName, str] = {}
    failure: Failure | None = None
    supervisor: int | None = None
    tags: dict[str, str] = {}

    @classmethod
    def submitted(cls, run_id: str, name: str, tags: dict[str, str]) -> RunRecord:
        """The record of a run that was never started."""
        now = time.time()
        return cls(id=run_id, name=name, status=Status.PREPARING, created=now, updated=now, tags=tags)
