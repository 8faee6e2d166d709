"""Sweep: many runs of one script with other arguments, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi

from trainstack.components.base import BaseResource, absolute_path, in_clear, program_errors
from trainstack.components.declaration import checked
from trainstack.components.run_outputs import RunOutputs
from trainstack.components.training_run import TrainingRunArgs, run_inputs
from trainstack.errors import InvalidInputError
from trainstack.provider.lazy_providers import LazySweepProvider

Value = str | int | float | bool


@dataclass(frozen=True)
class Parameter:
    """One parameter of a space; made by `choice`, `uniform`, `log_uniform` or `integer`.

    Attributes:
        spec: What it is, as inputs hold it.
    """

    spec: Mapping[str, Any]

    def when(self, other: str, *values: Value) -> Parameter:
        """The same parameter, only where another one has one of some values.

        Args:
            other: The other parameter's name.
            *values: Those of its values.
        """
        before: Mapping[str, Any] = self.spec.get("when", {})
        return replace(self, spec={**self.spec, "when": {**before, other: list(values)}})


def choice(*values: Value) -> Parameter:
    """One of some values."""
    return Parameter({"kind": "choice", "values": list(values)})


def uniform(low: float, high: float, *, step: float | None = None) -> Parameter:
    """A number between two, both included; with `step` one of those that far apart."""
    return Parameter({"kind": "uniform", "low": low, "high": high, **({} if step is None else {"step": step})})


def log_uniform(low: float, high: float) -> Parameter:
    """A number between two, spread by its logarithm: for what may differ by factors, such as a learning rate."""
    return Parameter({"kind": "log_uniform", "low": low, "high": high})


def integer(low: int, high: int, *, step: int | None = None, log: bool = False) -> Parameter:
    """A whole number between two, both included; with `log` spread by its logarithm."""
    more: dict[str, Any] = {**({} if step is None else {"step": step}), **({"log": True} if log else {})}
    return Parameter({"kind": "integer", "low": low, "high": high, **more})


@checked
@dataclass(kw_only=True)
class SweepArgs:
    """Arguments of a sweep.

    Attributes:
        run: What every trial is; its `arguments` are those that all trials have.
        space: Argument name to the parameter that is searched.
        metric: The metric that decides, as the script logs it; its last value counts.
        goal: `maximize` or `minimize`.
        sampler: `tpe`, `random`, `grid`, `cmaes`, or `gp` (which takes the extra `trainstack[gp]`).
        sampler_options: Arguments of Optuna's sampler of that name.
        pruner: Who tells hopeless trials, which are stopped: `none`, `median`, `hyperband` or `asha`.
        pruner_options: Arguments of Optuna's pruner of that name.
        seed: For the choices.
        max_trials: How many trials; those of earlier updates count.
        max_duration: Seconds after which the sweep ends with what it has, all updates counted.
        max_cost: What the nodes of all trials may cost before the sweep ends with what it has, all updates counted. The
            run's own `max_cost` is a trial's.
        max_concurrent: Trials at once; as many as the compute has room for when left out.
        max_failed_share: Which share of all trials may fail, or give NaN or infinity, before the sweep ends, 0 to 1.
    """

    run: TrainingRunArgs
    space: Mapping[str, Parameter]
    metric: pulumi.Input[str]
    goal: pulumi.Input[str] = "maximize"
    sampler: pulumi.Input[str] = "tpe"
    sampler_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    pruner: pulumi.Input[str] = "none"
    pruner_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: pulumi.Input[int] = 0
    max_trials: pulumi.Input[int] = 20
    max_duration: pulumi.Input[float] | None = None
    max_cost: pulumi.Input[float] | None = None
    max_concurrent: pulumi.Input[int] | None = None
    max_failed_share: pulumi.Input[float] = 0.5


class _Resource(BaseResource, module="trainstack", name="Sweep"):
    sweep_id: pulumi.Output[str]
    run_id: pulumi.Output[str]
    best_value: pulumi.Output[float]
    best_parameters: pulumi.Output[dict[str, Any]]
    metrics: pulumi.Output[dict[str, float]]
    directory: pulumi.Output[str]
    trials: pulumi.Output[dict[str, int]]
    importance: pulumi.Output[dict[str, float]]
    importance_plot: pulumi.Output[str]
    snapshot: pulumi.Output[str]
    files: pulumi.Output[dict[str, str]]


class Sweep(RunOutputs):
    """A search for the best arguments of a script.

    One resource, whatever the number of trials. Each trial is a training run named by what it is, so none is trained
    twice, here or by a `TrainingRun` with the same arguments. A wider space or more trials go on from what is known.
    `sweep.output(path)` stands for what the best trial leaves, as `run.output(path)` does for a run.

    Attributes:
        workspace: The workspace that keeps it.
        sweep_id: Its id.
        run_id: The best trial's run; a `Model` takes the sweep in the place of a run.
        best_value: The best trial's metric.
        best_parameters: What was chosen for it.
        metrics: All its metrics.
        path: Its run's folder, absolute.
        logs: Its run's log, a file.
        trials: How many completed, were pruned, have failed.
        importance: Each parameter's share in what the metric does.
        importance_plot: A picture of that, an SVG file; empty where too little is known.

    Example:
        ```python
        sweep = ts.Sweep("tune", ts.SweepArgs(
            run=ts.TrainingRunArgs(source_directory="scripts", script="train.py", compute=cluster, environment=tf),
            space={"--learning-rate": ts.log_uniform(1e-4, 1e-1), "--units": ts.choice(64, 128)},
            metric="accuracy", max_trials=40, pruner="median"))
        ```
    """

    kind = "Sweep"

    def __init__(self, name: str, args: SweepArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        fixed = args.run.arguments
        with program_errors(f"sweep {name}"):
            if not isinstance(fixed, Mapping):
                _refuse(fixed)
            elif both := sorted(set(fixed) & set(args.space)):
                raise InvalidInputError(f"{both[0]} is both fixed and in the space: take it out of one")
        super().__init__(name, opts)
        self.workspace = args.run.compute.workspace
        search = {
            "space": {key: dict(parameter.spec) for key, parameter in args.space.items()},
            "metric": args.metric,
            "goal": args.goal,
            "sampler": args.sampler,
            "sampler_options": dict(args.sampler_options),
            "pruner": args.pruner,
            "pruner_options": dict(args.pruner_options),
            "seed": args.seed,
            "max_trials": args.max_trials,
            "max_duration": args.max_duration,
            "max_total_cost": args.max_cost,
            "max_concurrent": args.max_concurrent,
            "max_failed_share": args.max_failed_share,
        }
        inputs = run_inputs(name, args.run) | in_clear(f"sweep {name}", search)
        after = [args.run.environment, args.run.compute]
        self._resource = _Resource(LazySweepProvider(), name, inputs, self._child_options(after))
        self.sweep_id = self._resource.sweep_id
        self.run_id = self._resource.run_id
        self.best_value = self._resource.best_value
        self.best_parameters = self._resource.best_parameters
        self.metrics = self._resource.metrics
        self.directory = self._resource.directory
        self.path = absolute_path(self.directory)
        self.logs = self.path.apply(lambda path: f"{path}/logs/run.txt")
        self.trials = self._resource.trials
        self.importance = self._resource.importance
        self.importance_plot = self._resource.importance_plot
        self.register_outputs({"run_id": self.run_id, "best_value": self.best_value, "trials": self.trials})


def _refuse(arguments: Sequence[Any]) -> None:
    raise InvalidInputError(f"a sweep's run takes its arguments by name, not as a list of {len(arguments)}")
