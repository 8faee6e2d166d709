"""The process that drives a sweep, and outlives the `pulumi up` that started it.

It asks Optuna for trials, submits each as a run, tells Optuna what the runs log while they go on, and stops those that
are hopeless. It holds the sweep's lock. Killed, it leaves its runs to their supervisors and its trials in Optuna's
journal as running; the next driver goes on with both.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainstack.core.daemons import daemonize
from trainstack.core.runs import cost, distribution
from trainstack.core.runs.arguments import canonical
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.execution import submission
from trainstack.core.runs.execution.following import failure_text
from trainstack.core.runs.request import RunRequest
from trainstack.core.sweeps import plot
from trainstack.core.sweeps import study as studies
from trainstack.core.sweeps.record import SweepDirectory, SweepRecord, SweepRequest, Trial
from trainstack.core.sweeps.space import Choices
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import NotFoundError, TrainstackError
from trainstack.mlflow import metric_files as tracking
from trainstack.storage import locks
from trainstack.storage.atomic import write_bytes

if TYPE_CHECKING:
    import optuna

TICK = 0.01
LOOK_SECONDS = 0.5
PRUNED = "pruned: "
"""How the reason of a run begins that a sweep stopped because it was hopeless."""
_RESUMES = 3
# So often in a row a sampler may choose what was tried before it is given something new.
_REPEATS = 20


class Active:
    """A trial whose run goes on."""

    def __init__(self, trial: optuna.Trial, run: RunDirectory) -> None:
        self.trial = trial
        self.run = run
        self.step = -1
        self.value: float | None = None
        self.asked = False
        self.resumed = 0
        self.looked = 0.0
        self.written: tuple[int, int] | None = None

    def due(self) -> bool:
        """Whether to look at the run: its record was written since the last time, or metrics may have come."""
        written = None
        with contextlib.suppress(OSError):
            status = (self.run.root / "run.json").stat()
            # The record is replaced by each write, so its inode tells where a clock does not.
            written = status.st_ino, status.st_mtime_ns
        now = time.monotonic()
        if written == self.written and now - self.looked < LOOK_SECONDS:
            return False
        self.looked, self.written = now, written
        return True


class Driver:
    """One sweep, to its end."""

    def __init__(self, directory: SweepDirectory, workspace: Workspace, secrets: dict[str, str]) -> None:
        self._directory = directory
        self._workspace = workspace
        self._secrets = secrets
        self._request: SweepRequest = directory.request()
        self._search = self._request.search
        self._study = studies.opened(directory, self._request)
        self._active: list[Active] = []
        self._begun = time.monotonic()
        self._before = 0.0
        self._created = time.time()
        with contextlib.suppress(TrainstackError):
            earlier = directory.read()
            self._before, self._created = earlier.spent, earlier.created
        self._failed = 0
        self._repeats = 0
        self._total = self._search.total
        self._costs: dict[str, float] = {}
        self._priced = 0.0

    def run(self) -> None:
        """Drive the sweep to an end and write which one it was."""
        try:
            self._write("running")
            self._go_on()
            reason = self._work()
            status = "canceled" if reason else "completed"
            if not any(self._is_completed(trial) for trial in self._study.trials) and not reason:
                self._write("failed", f"no trial completed{self._last_failure()}")
                return
            self._finish(status, reason)
        except TrainstackError as exc:
            self._stop_all("the sweep failed")
            self._write("failed", str(exc))
        except Exception as exc:  # noqa: BLE001 (the record must not stay "running"; the trace is kept in our log)
            traceback.print_exc()
            self._stop_all("the sweep failed")
            self._write("failed", f"{type(exc).__name__}: {exc}; the trace is in {self._directory.log}")

    def _go_on(self) -> None:
        """Take up the trials that a killed driver left."""
        from optuna.trial import Trial as OptunaTrial
        from optuna.trial import TrialState

        for frozen in self._study.get_trials(states=(TrialState.RUNNING,)):
            run_id = frozen.user_attrs.get(studies.RUN)
            if run_id is None:
                # Killed before its run began: what was chosen is chosen again.
                self._study.tell(frozen.number, state=TrialState.FAIL)
                if frozen.params:
                    self._study.enqueue_trial(frozen.params)
                continue
            trial = OptunaTrial(self._study, frozen._trial_id)  # pyright: ignore[reportPrivateUsage]
            active = Active(trial, RunDirectory(self._workspace.run(run_id)))
            active.step = max(frozen.intermediate_values, default=-1)
            self._submit(active, self._run_request(frozen.user_attrs[studies.ARGUMENTS], frozen.number))
            self._active.append(active)

    def _work(self) -> str:
        """Begin and follow trials until there is nothing more to do; why it was stopped, when it was."""
        ready = False
        while True:
            if reason := self._stopped():
                return reason
            changed = False
            for active in list(self._active):
                changed |= self._step(active)
            late = self._search.max_duration is not None and self._spent() > self._search.max_duration
            if late:
                self._stop_all(f"the sweep's max_duration of {self._search.max_duration:g} s is over")
                return ""
            if self._is_over_budget():
                return ""
            while len(self._active) < self._concurrency() and self._more():
                self._begin()
                changed = True
            if not self._active:
                return ""
            if changed:
                self._write("running")
            elif not ready and not self._more():
                # What the end needs is loaded by doing it once, while the last trials go on: so it costs no time then.
                studies.importance(self._study)
                plot.bars("", {"": 1.0})
                ready = True
            time.sleep(TICK)

    def _more(self) -> bool:
        from optuna.trial import TrialState

        trials = self._study.get_trials(deepcopy=False)
        begun = [trial for trial in trials if trial.state is not TrialState.WAITING]
        if self._search.sampler == "grid" and len(begun) == len(trials):
            return False
        # One that ended and had no run of its own does not count.
        return sum(not trial.state.is_finished() or studies.RUN in trial.user_attrs for trial in begun) < self._total

    def _begin(self) -> None:
        trial = self._study.ask()
        chosen = studies.suggested(trial, self._search)
        fixed: Any = self._request.run.spec.arguments
        arguments = canonical({**fixed, **chosen})
        request = self._run_request(arguments, trial.number)
        run = RunDirectory(self._workspace.run(request.spec.run_id))
        for known in self._study.get_trials(deepcopy=False):
            if known.user_attrs.get(studies.RUN) == run.id:
                self._repeat(trial, known)
                return
        self._repeats = 0
        trial.set_user_attr(studies.ARGUMENTS, arguments)
        trial.set_user_attr(studies.RUN, run.id)
        active = Active(trial, run)
        self._active.append(active)
        with contextlib.suppress(NotFoundError):
            if run.exists() and _was_pruned(run.read()):
                # Another trial chose the same and was hopeless; it is not trained again to find that out.
                return
        self._submit(active, request)

    def _repeat(self, trial: optuna.Trial, known: optuna.trial.FrozenTrial) -> None:
        """Give a trial what its equal came to: nothing trains, and it does not count."""
        from optuna.trial import TrialState

        if known.state is TrialState.COMPLETE:
            self._study.tell(trial, known.value)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if known.state is TrialState.PRUNED else TrialState.FAIL)
        self._repeats += 1
        if self._repeats >= _REPEATS and (untried := self._untried()) is not None:
            self._repeats = 0
            self._study.enqueue_trial(dict(untried))

    def _untried(self) -> Choices | None:
        """A combination that no trial has, or that has no end of them; none where all are tried."""
        space = self._search.space
        fixed: Any = self._request.run.spec.arguments
        tried = [trial.user_attrs.get(studies.ARGUMENTS) for trial in self._study.get_trials(deepcopy=False)]
        return next(
            (
                chosen
                for chosen in space.combinations()
                if space.is_endless(chosen) or canonical({**fixed, **chosen}) not in tried
            ),
            None,
        )

    def _run_request(self, arguments: Any, number: int) -> RunRequest:
        base = self._request.run
        spec = base.spec.model_copy(update={"arguments": arguments})
        tags = {**base.tags, "sweep": self._directory.id, "trial": str(number)}
        return base.model_copy(update={"spec": spec, "name": f"{self._request.name}-{number}", "tags": tags})

    def _submit(self, active: Active, request: RunRequest) -> None:
        submission.submit(self._workspace, request, Path(self._request.source), self._secrets)
        active.looked = 0.0

    def _step(self, active: Active) -> bool:
        """Tell Optuna what is new of a trial; whether it has ended."""
        if not active.due():
            return False
        try:
            record = active.run.read()
        except TrainstackError as exc:
            return self._end(active, None, str(exc))
        self._report(active)
        if record.status is Status.COMPLETED:
            value = record.metrics.get(self._search.metric)
            if value is None:
                logged = ", ".join(sorted(record.metrics)) or "none"
                return self._end(active, None, f"it logged no metric {self._search.metric!r} (it logged {logged})")
            return self._end(active, value, "" if math.isfinite(value) else f"{self._search.metric} is {value}")
        if _was_pruned(record):
            return self._prune(active, record.reason)
        if record.status is Status.INTERRUPTED and active.resumed < _RESUMES:
            active.resumed += 1
            attributes = active.trial.user_attrs
            self._submit(active, self._run_request(attributes[studies.ARGUMENTS], active.trial.number))
        elif record.status.ended:
            return self._end(active, None, failure_text(record))
        elif not active.asked and active.step >= 0 and active.trial.should_prune():
            active.asked = True
            submission.ask_to_stop(
                active.run, f"{PRUNED}{self._search.metric} {active.value:.6g} at step {active.step} is no hope"
            )
        return False

    def _report(self, active: Active) -> None:
        points = tracking.read(active.run.tracking).get(self._search.metric, [])
        for step, value in sorted({point.step: point.value for point in points}.items()):
            if step > active.step:
                active.trial.report(value, step)
                active.step, active.value = step, value

    def _end(self, active: Active, value: float | None, reason: str) -> bool:
        from optuna.trial import TrialState

        self._active.remove(active)
        if value is not None and not reason:
            self._study.tell(active.trial, value)
            return True
        active.trial.set_user_attr(studies.REASON, reason)
        self._study.tell(active.trial, state=TrialState.FAIL)
        self._failed += 1
        if self._failed > self._search.max_failed_share * self._total:
            raise TrainstackError(
                f"{self._failed} of at most {self._total} trials failed, more than max_failed_share="
                f"{self._search.max_failed_share:g} allows, the last with: {reason}"
            )
        return True

    def _last_failure(self) -> str:
        trials = self._study.get_trials(deepcopy=False)
        reasons = [reason for trial in trials if (reason := trial.user_attrs.get(studies.REASON))]
        return f", the last failed with: {reasons[-1]}" if reasons else ""

    def _prune(self, active: Active, reason: str) -> bool:
        from optuna.trial import TrialState

        self._active.remove(active)
        active.trial.set_user_attr(studies.REASON, reason)
        self._study.tell(active.trial, state=TrialState.PRUNED)
        return True

    def _concurrency(self) -> int:
        compute = self._request.run.compute
        _, nodes = distribution.parse(self._request.run.spec.distribution)
        return self._search.max_concurrent or max(1, compute.max_nodes // nodes)

    def _stopped(self) -> str:
        """Why the sweep is to end, where it is; its runs end with it, unless another driver is to go on with them."""
        path = self._directory.root / "stop"
        if not path.exists():
            return ""
        reason = path.read_text(encoding="utf-8").strip() or "stopped"
        if not (self._directory.root / "handover").exists():
            self._stop_all(reason)
        return reason

    def _stop_all(self, reason: str) -> None:
        for active in self._active:
            with contextlib.suppress(TrainstackError, OSError):
                if active.run.has_supervisor():
                    submission.ask_to_stop(active.run, reason)

    def _spent(self) -> float:
        return self._before + time.monotonic() - self._begun

    def _is_over_budget(self) -> bool:
        """Whether the trials have cost what they may; those that go on are stopped then."""
        limit = self._search.max_total_cost
        if limit is None or time.monotonic() < self._priced + LOOK_SECONDS:
            return False
        self._priced = time.monotonic()
        if (self._cost() or 0.0) < limit:
            return False
        self._stop_all(f"the sweep has cost its max_cost of {cost.money(limit, self._request.run.compute.currency)}")
        return True

    def _cost(self) -> float | None:
        """What the nodes of all trials have come to; none where a node has no price."""
        price = cost.hourly(self._request.run.compute)
        if price is None:
            return None
        running = {active.run.id for active in self._active}
        for trial in self._study.get_trials(deepcopy=False):
            run_id = trial.user_attrs.get(studies.RUN)
            if run_id and run_id not in running and run_id not in self._costs:
                self._costs[run_id] = self._cost_of(RunDirectory(self._workspace.run(run_id)))
        return sum(self._costs.values()) + sum(self._cost_of(active.run) for active in self._active)

    def _cost_of(self, run: RunDirectory) -> float:
        with contextlib.suppress(TrainstackError):
            return cost.so_far(run.read(), self._request.run).amount or 0.0
        return 0.0

    @staticmethod
    def _is_completed(trial: optuna.trial.FrozenTrial) -> bool:
        return trial.state.name == "COMPLETE"

    def _finish(self, status: Any, reason: str) -> None:
        record = self._record(status, reason)
        record.importance = studies.importance(self._study)
        if record.importance:
            write_bytes(self._directory.plot, plot.bars(f"What moves {record.metric}", record.importance))
        self._directory.write(record)

    def _write(self, status: Any, reason: str = "") -> None:
        self._directory.write(self._record(status, reason))

    def _record(self, status: Any, reason: str) -> SweepRecord:
        every = self._study.get_trials(deepcopy=False)
        trials = [_trial(frozen, status) for frozen in every if studies.RUN in frozen.user_attrs]
        completed = [trial for trial in trials if trial.state == "completed" and trial.value is not None]
        choose = max if self._search.goal == "maximize" else min
        best = choose(completed, key=lambda trial: trial.value or 0.0) if completed else None
        return SweepRecord(
            id=self._directory.id,
            name=self._request.name,
            status=status,
            reason=reason,
            metric=self._search.metric,
            goal=self._search.goal,
            total=max(self._total, len(trials)),
            trials=trials,
            best=best.number if best else None,
            spent=self._spent(),
            cost=self._cost(),
            currency=self._request.run.compute.currency,
            created=self._created,
            updated=time.time(),
        )


def _was_pruned(record: RunRecord) -> bool:
    return record.status is Status.CANCELED and record.reason.startswith(PRUNED)


def _trial(frozen: optuna.trial.FrozenTrial, status: str) -> Trial:
    states: dict[str, Any] = {"COMPLETE": "completed", "PRUNED": "pruned", "FAIL": "failed"}
    value = frozen.value if frozen.state.name == "COMPLETE" else None
    if value is None and frozen.intermediate_values:
        value = frozen.intermediate_values[max(frozen.intermediate_values)]
    return Trial(
        number=frozen.number,
        run_id=frozen.user_attrs[studies.RUN],
        # A trial that its sweep left goes on with the next one.
        state=states.get(frozen.state.name, "running" if status == "running" else "stopped"),
        value=value if value is not None and math.isfinite(value) else None,
        parameters=frozen.params,
        reason=frozen.user_attrs.get(studies.REASON, ""),
    )


def main(root: str) -> None:
    """Drive a sweep, unless somebody does already.

    Args:
        root: The sweep's directory.
    """
    directory = SweepDirectory(Path(root))
    secrets: dict[str, str] = json.loads(sys.stdin.read() or "{}")
    with locks.try_exclusive(directory.lock, locks.LOOK_SECONDS) as mine:
        if mine:
            with daemonize.prefork(submission.SUPERVISOR):
                Driver(directory, Workspace.open(directory.root.parent.parent), secrets).run()
