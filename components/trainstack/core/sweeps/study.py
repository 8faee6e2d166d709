"""Optuna's part of a sweep: its storage, sampler and pruner. Optuna is loaded when this is first used."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainstack.core.sweeps.record import Search, SweepDirectory, SweepRequest
from trainstack.core.sweeps.space import Choices, Parameter, Value
from trainstack.errors import InvalidInputError

if TYPE_CHECKING:
    import optuna

RUN, ARGUMENTS, REASON = "run_id", "arguments", "reason"
"""What is noted at a trial: its run, its whole arguments, and why it ended as it did."""
_GP_NEEDS = ("scipy", "torch")


def checked(search: Search) -> None:
    """Make sure that sampler and pruner can be made; loads Optuna only where options are given.

    Raises:
        InvalidInputError: They cannot; says why.
    """
    if search.sampler == "grid":
        next(search.space.grid())
    if search.sampler == "gp" and (missing := [item for item in _GP_NEEDS if importlib.util.find_spec(item) is None]):
        raise InvalidInputError(
            f"sampler 'gp' needs {' and '.join(missing)}: pip install 'trainstack[gp]'", field="sampler"
        )
    if search.sampler == "cmaes" and any(item.kind == "choice" for item in search.space.parameters.values()):
        raise InvalidInputError("sampler 'cmaes' chooses numbers alone: take 'tpe' for choices", field="sampler")
    for make, options in ((sampler, search.sampler_options), (pruner, search.pruner_options)):
        if options:
            try:
                make(search)
            except (TypeError, ValueError) as exc:
                raise InvalidInputError(f"{make.__name__}_options: {exc}", field=f"{make.__name__}_options") from exc


def sampler(search: Search, begun: int = 0) -> optuna.samplers.BaseSampler:
    """Make the sampler.

    Args:
        search: How to search.
        begun: How many trials there are: one that goes on must not choose again what it chose first.
    """
    from optuna import samplers

    kinds: dict[str, Any] = {
        "tpe": samplers.TPESampler,
        "random": samplers.RandomSampler,
        # The grid's combinations wait in the storage; nothing is ever sampled.
        "grid": samplers.RandomSampler,
        "cmaes": samplers.CmaEsSampler,
        "gp": samplers.GPSampler,
    }
    # Trials that run side by side must not be the same.
    options: dict[str, Any] = {"constant_liar": True} if search.sampler == "tpe" else {}
    return kinds[search.sampler](**{**options, "seed": search.seed + begun, **search.sampler_options})


def pruner(search: Search) -> optuna.pruners.BasePruner:
    """Make the pruner."""
    from optuna import pruners

    kinds: dict[str, Any] = {
        "none": pruners.NopPruner,
        "median": pruners.MedianPruner,
        "hyperband": pruners.HyperbandPruner,
        "asha": pruners.SuccessiveHalvingPruner,
    }
    return kinds[search.pruner](**search.pruner_options)


def opened(directory: SweepDirectory, request: SweepRequest) -> optuna.Study:
    """Open the study of a space, with all that earlier spaces have found out about it.

    A trial of an earlier space is taken over when the new one holds what was chosen, so widening a space loses none.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = request.search
    storage = JournalStorage(JournalFileBackend(str(directory.journal), JournalFileOpenLock(str(directory.journal))))
    study = optuna.create_study(
        storage=storage, study_name=request.study, direction=search.goal, pruner=pruner(search), load_if_exists=True
    )
    _take_over(study, request)
    study.sampler = sampler(search, len(study.trials))
    if search.sampler == "grid":
        for chosen in search.space.grid():
            study.enqueue_trial(dict(chosen), skip_if_exists=True)
    return study


def suggested(trial: optuna.Trial, search: Search) -> Choices:
    """What the sampler chooses for a trial."""
    chosen: Choices = {}
    for name, parameter in search.space.ordered():
        if parameter.applies(chosen):
            chosen[name] = _suggested(trial, name, parameter)
    return chosen


def _suggested(trial: optuna.Trial, name: str, parameter: Parameter) -> Value:
    low, high = parameter.low or 0.0, parameter.high or 0.0
    if parameter.kind == "choice":
        value: Any = trial.suggest_categorical(name, parameter.values)
        return value
    if parameter.kind == "integer":
        return trial.suggest_int(name, int(low), int(high), log=parameter.log, step=int(parameter.step or 1))
    return trial.suggest_float(name, low, high, log=parameter.kind == "log_uniform", step=parameter.step)


def distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    """A parameter in Optuna's terms."""
    from optuna import distributions

    low, high = parameter.low or 0.0, parameter.high or 0.0
    if parameter.kind == "choice":
        return distributions.CategoricalDistribution(parameter.values)
    if parameter.kind == "integer":
        return distributions.IntDistribution(int(low), int(high), log=parameter.log, step=int(parameter.step or 1))
    return distributions.FloatDistribution(low, high, log=parameter.kind == "log_uniform", step=parameter.step)


def importance(study: optuna.Study) -> dict[str, float]:
    """Each parameter's share in what the metric does, the greatest first; empty while too little is known."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    with contextlib.suppress(ValueError, RuntimeError):
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {}


def _take_over(study: optuna.Study, request: SweepRequest) -> None:
    import optuna

    seen_runs = {trial.user_attrs.get(RUN) for trial in study.trials}
    fixed: Any = request.run.spec.arguments
    space = request.search.space
    distributions = {name: distribution(parameter) for name, parameter in space.parameters.items()}
    for name in optuna.get_all_study_names(study._storage):  # pyright: ignore[reportPrivateUsage]
        if name == study.study_name:
            continue
        other = optuna.load_study(study_name=name, storage=study._storage)  # pyright: ignore[reportPrivateUsage]
        for trial in other.trials:
            run = trial.user_attrs.get(RUN)
            if run is None or run in seen_runs or not trial.state.is_finished():
                continue
            chosen = _chosen(trial.user_attrs.get(ARGUMENTS, {}), fixed, space.parsed)
            if chosen is not None and trial.state != optuna.trial.TrialState.FAIL:
                seen_runs.add(run)
                study.add_trial(
                    optuna.trial.create_trial(
                        state=trial.state,
                        value=trial.value,
                        params=dict(chosen),
                        distributions={name: distributions[name] for name in chosen},
                        user_attrs=trial.user_attrs,
                        intermediate_values=trial.intermediate_values,
                    )
                )


def _chosen(arguments: Mapping[str, Any], fixed: Mapping[str, Any], parsed: Any) -> dict[str, Value] | None:
    if any(arguments.get(name) != value for name, value in fixed.items()):
        return None
    return parsed({name: value for name, value in arguments.items() if name not in fixed})
