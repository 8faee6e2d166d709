"""Sweeps: one resource for all trials; another search goes on from what is known."""

from __future__ import annotations

import contextlib
from collections import Counter

from pulumi.dynamic import CreateResult, DiffResult, UpdateResult
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.runs import diff
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.fields import COUNTED, SETTINGS, RunSpec
from trainstack.core.sweeps import study, sweep
from trainstack.core.sweeps.record import Search, SweepDirectory, SweepRecord, SweepRequest, finished_search
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.store_cache import stored_path
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.provider import run_inputs
from trainstack.provider.base import (
    BaseProvider,
    Properties,
    absolute,
    finite,
    integral,
    known,
    log_of,
    own,
    validated,
    with_workspace_id,
    workspace_of,
)

_SEARCH = tuple(Search.model_fields)


class SweepProvider(BaseProvider):
    """A sweep, named by what its trials are, whatever their arguments."""

    def accept(self, news: Properties) -> Properties:
        """Validate, and add what the trials are made of."""
        inputs = run_inputs.completed(news)
        if (search := _search(inputs)) is not None:
            study.checked(search)
        return inputs

    def lease(self, properties: Properties) -> str:
        """The sweep's own: it may take days, in which other resources change."""
        return f"sweeps/{properties['name']}"

    def known_outputs(self, inputs: Properties) -> Properties:
        """What the best trial came to, of a search that the workspace has behind it."""
        search = _search(inputs)
        if search is None or not known({name: inputs.get(name) for name in ("workspace", *COUNTED)}):
            return {}
        try:
            workspace = workspace_of(inputs)
            record = finished_search(workspace, RunSpec.from_inputs(integral(inputs)), inputs["name"], search)
            return _best(workspace, record) if record else {}
        except TrainstackError:
            # No such sweep, workspace or run yet; a damaged record is spoken of by the update.
            return {}

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Replace when what the trials compute changes; another search goes on in place."""
        differences = diff.changes(diff.comparable(olds, UNKNOWN), diff.comparable(news, UNKNOWN))
        fixed = differences.pop("arguments", None)
        renamed = [name for name in ("metric", "goal", "name") if _differs(name, olds, news)]
        reasons = {
            **differences,
            **{name: [f"{name} {olds.get(name)} → {news.get(name)}"] for name in renamed},
            **diff.moves(olds, news, UNKNOWN),
        }
        if reasons:
            finished = news.get("sweep_id") is not None
            verb = f"takes over finished sweep {news['sweep_id']}, nothing trains" if finished else "will search anew"
            log_of(news).info(diff.reason_line(reasons, None, verb))
            return DiffResult(changes=None, replaces=list(reasons))
        if drift := olds.get("drift"):
            log_of(news).info(f"drifted: {'; '.join(drift)}")
            return DiffResult(changes=True)
        search = [name for name in _SEARCH if _differs(name, olds, news)]
        if fixed or search:
            why = "; ".join(fixed or []) or ", ".join(search)
            log_of(news).info(f"will search on: {why} changed; trials that still fit are kept")
        moved = [name for name in ("compute", *SETTINGS) if _differs(name, olds, news)]
        return DiffResult(changes=bool(fixed or search or moved))

    def create(self, props: Properties) -> CreateResult:
        """Start the search, or go on with it, and follow it to its end."""
        outs = self._searched(own(props))
        return CreateResult(outs["sweep_id"], outs)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Search on."""
        return UpdateResult(self._searched(own(_news)))

    def refresh(self, properties: Properties) -> Properties:
        """Find out whether the best trial's run is still there."""
        workspace = workspace_of(properties)
        SweepDirectory(workspace.sweep(str(properties["sweep_id"]))).read()
        run_id = str(properties["run_id"])
        gone = not (workspace.run(run_id) / "run.json").is_file()
        return {"drift": [f"run {run_id} is gone"] if gone else []}

    def _searched(self, inputs: Properties) -> Properties:
        from trainstack.provider.run_submission import request, secrets_of

        search = _search(inputs)
        if search is None:
            raise InvalidInputError(f"sweep {inputs['name']}: an input is not known")
        source = absolute(inputs["source_directory"])
        sweep_request = SweepRequest(
            name=inputs["name"], search=search, run=request(inputs, source), source=str(source)
        )
        directory = sweep.submit(workspace_of(inputs), sweep_request, secrets_of(inputs))
        log = log_of(inputs)
        record = sweep.follow(directory, log.progress)
        log.info(f"sweep {record.id}: {sweep.progress_line(record)}")
        return with_workspace_id(_outputs(inputs, directory, record))


def _search(inputs: Properties) -> Search | None:
    values = {**inputs, "space": {"parameters": inputs["space"]} if known(inputs["space"]) else inputs["space"]}
    with contextlib.suppress(KeyError):
        return validated(Search, values, f"sweep {inputs['name']}")
    return None


def _differs(name: str, olds: Properties, news: Properties) -> bool:
    return integral(olds.get(name)) != integral(news.get(name))


def _best(workspace: Workspace, record: SweepRecord) -> Properties:
    """What the best trial of a completed sweep came to."""
    best = record.best_trial
    if best is None:
        raise InvalidInputError(f"sweep {record.name}: no trial completed")
    run = RunDirectory(workspace.run(best.run_id))
    return {
        "sweep_id": record.id,
        "run_id": best.run_id,
        "best_value": best.value,
        "best_parameters": best.parameters,
        "metrics": finite(run.read().metrics),
        "directory": stored_path(run.root, project_root()),
    }


def _outputs(inputs: Properties, directory: SweepDirectory, record: SweepRecord) -> Properties:
    return {
        **inputs,
        **_best(workspace_of(inputs), record),
        "trials": dict(Counter(trial.state for trial in record.trials)),
        "importance": finite(record.importance),
        "importance_plot": str(directory.plot) if record.importance else "",
        "drift": [],
    }
