"""Training runs: the diff that explains, and create as get, attach or resume."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pulumi.dynamic import CreateResult, DiffResult, UpdateResult
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.runs import diff
from trainstack.core.runs.fields import SETTINGS
from trainstack.core.runs.record import Status
from trainstack.core.workspace.workspace import Workspace
from trainstack.provider import run_inputs
from trainstack.provider.base import (
    BaseProvider,
    Properties,
    absolute,
    integral,
    log_of,
    own,
    with_workspace_id,
    workspace_of,
)
from trainstack.provider.cancellation import announced
from trainstack.provider.compute_inputs import compute_spec
from trainstack.provider.known_run import known_run
from trainstack.storage.object_store.address import address_in

if TYPE_CHECKING:
    from trainstack.core.replication.driven_run import DrivenRun
    from trainstack.core.runs.directory import RunDirectory, RunRecord
    from trainstack.provider.resource_log import ResourceLog


class TrainingRunProvider(BaseProvider):
    """A training run, named by what it is."""

    def accept(self, news: Properties) -> Properties:
        """Validate, and add what the run is made of."""
        return run_inputs.completed(news)

    def known_outputs(self, inputs: Properties) -> Properties:
        """The run's id, where all that decides it is known; and of a finished run what it came to."""
        return known_run(inputs)

    def lease(self, properties: Properties) -> str:
        """The run's own: it may take days, in which other resources change."""
        return f"runs/{properties['run_id']}"

    def creating(self, properties: Properties) -> AbstractContextManager[None]:
        """Act under the run's lease, unless a driver in the cluster is going to have it."""
        return contextlib.nullcontext() if self._driven(properties) else self.changing(properties)

    @contextlib.contextmanager
    def changing_shared(self, workspace: Workspace, properties: Properties) -> Generator[None]:
        """Act as every verb does; a run that this machine drives already is followed, and pushed by its publisher."""
        from trainstack.core.replication import run_publisher, shared
        from trainstack.core.replication.waiting import Waiting
        from trainstack.core.runs.directory import RunDirectory

        run = RunDirectory(workspace.run(str(properties["run_id"])))
        if run.has_supervisor():
            yield
            # Its publisher has the lease until the store has what the run came to.
            with shared.publishing(workspace, f"runs/{run.id}"):
                return
        log = log_of(properties)
        waits = Waiting(workspace, run.id, log.progress)
        with waits, shared.updating(workspace, self.lease(properties), waits.show):
            waits.end()
            if not (run.exists() and run.read().status is Status.COMPLETED):
                run_publisher.start(workspace, run.id)
            yield

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Replace when what the run computes changes, or its workspace, and say why; anything else changes in place."""
        differences = diff.changes(diff.comparable(olds, UNKNOWN), diff.comparable(news, UNKNOWN))
        fingerprint = news.get("fingerprint")
        # Said in other words (a renamed dataset, a variable moved to the environment), it is the same run.
        restated = bool(differences) and fingerprint is not None and fingerprint == olds.get("fingerprint")
        reasons = {**({} if restated else differences), **diff.moves(olds, news, UNKNOWN)}
        if reasons:
            log_of(news).info(_reason_line(reasons, olds, news))
            return DiffResult(changes=None, replaces=list(reasons))
        if drift := olds.get("drift"):
            log_of(news).info(f"drifted: {'; '.join(drift)}")
            return DiffResult(changes=True)
        # Where it runs may differ: paths, compute, limits. The engine shows what does; nothing trains.
        moved = [name for name in ("name", "compute", *SETTINGS) if _plain(olds, name) != _plain(news, name)]
        return DiffResult(changes=bool(moved) or restated)

    def create(self, props: Properties) -> CreateResult:
        """Adopt the finished run, attach to the running one, resume the broken one, or start a new one."""
        from trainstack.core.runs.execution import submission
        from trainstack.provider.run_submission import outputs, request, secrets_of

        inputs = own(props)
        workspace = workspace_of(inputs)
        source = absolute(inputs["source_directory"])
        log = log_of(inputs)
        if driven := self._driven(inputs):
            outcome = driven.submit(request(inputs, source), source, secrets_of(inputs), log.progress)
            with announced(lambda: log.warn(_canceled(driven.run_id, inputs.get("on_disconnect")))):
                record = driven.follow(log.progress)
            _say(log, inputs, driven.directory, record, adopted=outcome is submission.Outcome.ADOPTED)
            return CreateResult(driven.run_id, with_workspace_id(outputs(inputs, driven.directory, record, outcome)))
        submitted = submission.submit(workspace, request(inputs, source), source, secrets_of(inputs))
        run = submitted.directory
        if submitted.note:
            log.warn(submitted.note)
        if submitted.outcome is not submission.Outcome.ADOPTED:
            log.progress(f"{submitted.outcome.value} run {run.id}: code {inputs['snapshot']}")
        with announced(lambda: log.warn(_canceled(run.id, inputs.get("on_disconnect")))):
            record = submission.follow(run, log.progress)
        _say(log, inputs, run, record, adopted=submitted.outcome is submission.Outcome.ADOPTED)
        return CreateResult(run.id, with_workspace_id(outputs(inputs, run, record, submitted.outcome)))

    def _driven(self, properties: Properties) -> DrivenRun | None:
        """The run, where a driver in the cluster drives it."""
        spec = compute_spec(properties["compute"])
        if spec is None or not spec.plugin.drives_runs(spec) or not address_in(Path(str(properties["workspace"]))):
            return None
        from trainstack.core.replication.driven_run import driven_run

        return driven_run(workspace_of(properties), str(properties["run_id"]), spec)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Keep the new settings of a run that stays what it is, and put back outputs that are gone."""
        from trainstack.core.runs import artifacts
        from trainstack.core.runs.directory import RunDirectory
        from trainstack.core.runs.execution import submission
        from trainstack.provider.run_submission import outputs

        inputs = own(_news)
        workspace = workspace_of(inputs)
        run = RunDirectory(workspace.run(_id))
        record = run.read()
        if lost := artifacts.restore(run, record, workspace.blobs):
            log_of(inputs).warn(f"{', '.join(lost)} cannot be put back: change `trigger` to train the run again")
        return UpdateResult(with_workspace_id(outputs(inputs, run, record, submission.Outcome.ADOPTED)))

    def refresh(self, properties: Properties) -> Properties:
        """Find out whether the run is still there, complete and as it was left."""
        from trainstack.core.runs import artifacts
        from trainstack.core.runs.directory import RunDirectory

        run = RunDirectory(workspace_of(properties).run(str(properties["run_id"])))
        record = run.read()
        return {"status": record.status.value, "drift": artifacts.drift(run, record)}


def _canceled(run_id: str, on_disconnect: object) -> str:
    """What Ctrl-C means for a run."""
    goes_on = "stops, as on_disconnect says" if on_disconnect == "stop" else "goes on"
    return (
        f"run {run_id} goes on, and this update waits for its end; press Ctrl-C again to leave (the run {goes_on}). "
        f"Look: trainstack runs logs -f {run_id}. Stop it: trainstack runs stop {run_id}"
    )


def _say(log: ResourceLog, inputs: Properties, run: RunDirectory, record: RunRecord, *, adopted: bool) -> None:
    """Say what a run came to."""
    from trainstack.core.runs import artifacts

    if adopted:
        log.info(f"adopted finished run {run.id}: nothing trains")
        return
    again = f" in attempt {record.attempt}, resumed {record.resumed}" if record.resumed else ""
    log.info(f"run {run.id} completed in {diff.seconds(record.duration or 0)}{again}; code: {inputs['snapshot']}")
    if stray := artifacts.beside_outputs(run, record):
        log.warn(f"{stray}: only what is in ./outputs is kept as an output")
    if misnamed := artifacts.misnamed(run):
        log.warn(misnamed)


def _reason_line(differences: dict[str, list[str]], olds: Properties, news: Properties) -> str:
    if news.get("status") == Status.COMPLETED.value:
        return diff.reason_line(differences, None, f"adopts finished run {news['run_id']}, nothing trains")
    duration = olds.get("duration")
    return diff.reason_line(differences, duration, estimate=_estimate(duration, news))


def _estimate(duration: Any, news: Properties) -> str:
    """What as long a run would cost now, in words; empty where its nodes have no price."""
    compute, spread = news.get("compute"), news.get("distribution")
    spec = compute_spec(compute) if compute else None
    if not isinstance(duration, int | float) or spec is None or not isinstance(spread, dict):
        return ""
    from trainstack.core.runs import cost

    nodes = cast("Properties", spread).get("node_count", 1)
    amount = cost.amount(spec, duration * nodes) if isinstance(nodes, int | float) else None
    return "" if amount is None else cost.money(amount, spec.currency)


def _plain(properties: Properties, name: str) -> Any:
    return integral(properties.get(name))
