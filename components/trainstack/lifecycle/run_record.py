"""What is written down about a run: its status and stages, how it failed, what was asked for."""

from __future__ import annotations

import enum
import time
from typing import Any

from pydantic import BaseModel, ConfigDict

from trainstack.lifecycle.fingerprint import RunSpec


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

    name: Status
    reason: str = ""
    started: float
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it lasted, or has lasted."""
        return (self.ended or time.time()) - self.started


class Failure(BaseModel):
    """Why an attempt ended badly.

    Attributes:
        rank: The first rank that failed, where one did.
        exit_code: Its exit code, where it had one.
        signal: The signal that ended it, where one did.
        tail: Its last lines.
        log: The log to read on.
    """

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
        stages: The stages of the current attempt.
        created: Seconds since the epoch of its submission.
        updated: Seconds since the epoch of the last change.
        duration: Seconds that the successful attempt took, all stages together.
        metrics: Last value of each metric.
        outputs: Digest of each file below `outputs/` (relative path to SHA-256), known once completed.
        failure: How it failed.
        supervisor: Process id of the supervisor of the current attempt.
        tags: Who submitted it, from which stack and commit.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    name: str
    status: Status
    reason: str = ""
    attempt: int = 0
    stages: list[Stage] = []
    created: float
    updated: float
    duration: float | None = None
    metrics: dict[str, float] = {}
    outputs: dict[str, str] = {}
    failure: Failure | None = None
    supervisor: int | None = None
    tags: dict[str, str] = {}


class RunRequest(BaseModel):
    """What a submission adds to the spec: how and where to run it. No part of the fingerprint, holds no secret.

    Attributes:
        name: The name its author gave.
        spec: What the run is.
        environment: The environment's spec and lock, as `trainstack.lifecycle.environment` dumps them.
        datasets: Dataset name, as arguments refer to it, to registered name, version and mode.
        compute: The compute, as `trainstack.lifecycle.compute` dumps it.
        timeout: Seconds that the running stage may last; none for no limit.
        grace: Seconds between SIGTERM and SIGKILL.
        tags: Who submitted it, from which stack and commit.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    spec: RunSpec
    environment: dict[str, Any]
    datasets: dict[str, dict[str, Any]] = {}
    compute: dict[str, Any]
    timeout: float | None = None
    grace: float = 10.0
    tags: dict[str, str] = {}
