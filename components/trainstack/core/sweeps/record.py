"""What is written down about a sweep: how it is asked for, and where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainstack.abbreviation import abbreviated
from trainstack.core.runs.fields import RunSpec
from trainstack.core.runs.request import RunRequest
from trainstack.core.sweeps.space import Space
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError
from trainstack.storage import digest as digests
from trainstack.storage.atomic import read_json, write_json

Sampler = Literal["tpe", "random", "grid", "cmaes", "gp"]
Pruner = Literal["none", "median", "hyperband", "asha"]


class Search(BaseModel):
    """How to search.

    Attributes:
        space: What is searched.
        metric: The metric that decides; its last value counts.
        goal: Whether more of it is better, or less.
        sampler: How trials are chosen.
        sampler_options: Arguments of Optuna's sampler.
        pruner: How hopeless trials are told.
        pruner_options: Arguments of Optuna's pruner.
        seed: For the choices.
        max_trials: How many trials, those of earlier calls counted.
        max_duration: Seconds after which the sweep ends, all calls counted; none for no limit.
        max_total_cost: What the nodes of all trials may cost before the sweep ends, all calls counted.
        max_concurrent: Trials at once; as many as the compute has room for when left out.
        max_failed_share: Which share of all trials may fail or give no number before the sweep ends, 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    space: Space
    metric: str = Field(min_length=1)
    goal: Literal["maximize", "minimize"] = "maximize"
    sampler: Sampler = "tpe"
    sampler_options: dict[str, Any] = {}
    pruner: Pruner = "none"
    pruner_options: dict[str, Any] = {}
    seed: int = 0
    max_trials: int = Field(default=20, ge=1)
    max_duration: float | None = Field(default=None, gt=0)
    max_total_cost: float | None = Field(default=None, gt=0)
    max_concurrent: int | None = Field(default=None, ge=1)
    max_failed_share: float = Field(default=0.5, ge=0, le=1)

    @property
    def total(self) -> int:
        """How many trials there are at most: a small space has fewer combinations than `max_trials`."""
        return self.space.count(self.max_trials)


class SweepRequest(BaseModel):
    """What a submission asks for.

    Attributes:
        name: The name its author gave.
        search: How to search.
        run: What every trial is, with the arguments that all have.
        source: The folder of the code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    search: Search
    run: RunRequest
    source: str

    @property
    def sweep_id(self) -> str:
        """Names the sweep by what its trials are, whatever their arguments: another space is the same sweep."""
        return sweep_id(self.run.spec, self.name, self.search.metric, self.search.goal)

    @property
    def study(self) -> str:
        """Names the space: a study of Optuna's has one."""
        space = self.search.space.model_dump(mode="json")
        return digests.of_json({"space": space, "fixed": self.run.spec.arguments})[:16]


def sweep_id(spec: RunSpec, name: str, metric: str, goal: str) -> str:
    """Name a sweep by what its trials are, whatever their arguments.

    Args:
        spec: What every trial is.
        name: The name its author gave.
        metric: The metric that decides.
        goal: Whether more of it is better, or less.
    """
    parts = {field: part for field, part in spec.parts.items() if field != "arguments"}
    return digests.of_json({"run": parts, "name": name, "metric": metric, "goal": goal})[:16]


class Trial(BaseModel):
    """One trial.

    Attributes:
        number: From 0, in the order of their beginning.
        run_id: Its run.
        state: `running`, `completed`, `pruned`, `failed`, or `stopped` with its sweep.
        value: The metric that decides, as far as it is known.
        parameters: What was chosen.
        reason: Why it was pruned or has failed.
    """

    model_config = ConfigDict(defer_build=True)

    number: int
    run_id: str = ""
    state: Literal["running", "completed", "pruned", "failed", "stopped"]
    value: float | None = None
    parameters: dict[str, Any] = {}
    reason: str = ""


class SweepRecord(BaseModel):
    """Where a sweep is.

    Attributes:
        id: Its id.
        name: The name its author gave.
        status: `running`, `completed`, `canceled` or `failed`.
        reason: Why, in one line.
        metric: The metric that decides.
        goal: Whether more of it is better, or less.
        total: How many trials there will be at most.
        trials: All trials of the space, by number.
        best: The number of the best completed trial.
        importance: Each parameter's share in what the metric does.
        spent: Seconds that it has run.
        cost: What the nodes of its trials have come to; none where a node has no price.
        currency: What the cost is in.
        created: Seconds since the epoch.
        updated: Seconds since the epoch.
    """

    model_config = ConfigDict(extra="ignore", defer_build=True)

    id: str
    name: str
    status: Literal["running", "completed", "canceled", "failed"]
    reason: str = ""
    metric: str
    goal: Literal["maximize", "minimize"]
    total: int
    trials: list[Trial] = []
    best: int | None = None
    importance: dict[str, float] = {}
    spent: float = 0.0
    cost: float | None = None
    currency: str = ""
    created: float
    updated: float

    @property
    def best_trial(self) -> Trial | None:
        """The best completed trial."""
        return next((trial for trial in self.trials if trial.number == self.best), None)

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(trial.state not in ("running", "stopped") for trial in self.trials)


class SweepDirectory:
    """The files of one sweep: `spec.json`, `sweep.json`, Optuna's `study.journal`, `lock`, `importance.svg`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = root.name

    @property
    def lock(self) -> Path:
        """Held by the driver for as long as it lives."""
        return self.root / "lock"

    @property
    def journal(self) -> Path:
        """Optuna's storage."""
        return self.root / "study.journal"

    @property
    def plot(self) -> Path:
        """How much each parameter matters, as a picture."""
        return self.root / "importance.svg"

    @property
    def log(self) -> Path:
        """What the driver says."""
        return self.root / "driver.txt"

    def request(self) -> SweepRequest:
        """Read what was asked for."""
        return SweepRequest.model_validate(read_json(self.root / "spec.json"))

    def read(self) -> SweepRecord:
        """Read where it is.

        Raises:
            NotFoundError: There is no such sweep.
            TrainstackError: Its record is damaged.
        """
        try:
            return SweepRecord.model_validate(read_json(self.root / "sweep.json"))
        except FileNotFoundError as exc:
            raise NotFoundError(f"no sweep {self.id} in {self.root.parent}") from exc
        except ValidationError as exc:
            raise TrainstackError(f"{self.root / 'sweep.json'} is damaged: move it away and run again") from exc

    def write(self, record: SweepRecord) -> None:
        """Replace the record whole. Only the driver writes."""
        write_json(self.root / "sweep.json", record.model_dump(mode="json"))


def resolve(workspace: Workspace, reference: str) -> SweepDirectory:
    """Find a sweep by id, by the start of an id, or by name (then the newest).

    Raises:
        InvalidInputError: The start fits several sweeps.
        NotFoundError: Nothing fits.
    """
    records = list_sweeps(workspace)
    fitting = [record.id for record in records if record.id.startswith(reference)]
    if len(fitting) > 1:
        raise InvalidInputError(
            f"{reference!r} fits {len(fitting)} sweeps ({abbreviated(fitting, 4)}): give more digits"
        )
    fitting += [record.id for record in records if record.name == reference]
    if not fitting:
        raise NotFoundError(f"no sweep {reference!r} in workspace {workspace.name}: see `trainstack sweeps list`")
    return SweepDirectory(workspace.sweep(fitting[0]))


def finished_search(workspace: Workspace, spec: RunSpec, name: str, search: Search) -> SweepRecord | None:
    """The record of a sweep that has ended and has just this search behind it; none where there is more to try.

    Args:
        workspace: Where it is kept.
        spec: What every trial is, with the arguments that all have.
        name: The name its author gave.
        search: How to search.

    Raises:
        NotFoundError: There is no such sweep.
        TrainstackError: Its record is damaged.
    """
    directory = SweepDirectory(workspace.sweep(sweep_id(spec, name, search.metric, search.goal)))
    record, request = directory.read(), directory.request()
    same = request.search == search and request.run.spec.arguments == spec.arguments
    return record if same and record.status == "completed" else None


def list_sweeps(workspace: Workspace) -> list[SweepRecord]:
    """The sweeps of a workspace, newest first."""
    records = [SweepDirectory(path.parent).read() for path in (workspace.root / "sweeps").glob("*/sweep.json")]
    return sorted(records, key=lambda record: record.created, reverse=True)
