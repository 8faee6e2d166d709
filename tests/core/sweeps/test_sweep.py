"""Sweeps with real runs and real Optuna: what is chosen, what is stopped, what survives."""

import os
import signal
import subprocess

import pytest
from tests.waiting import until

from trainstack.core.runs.directory import RunDirectory
from trainstack.core.runs.execution import submission
from trainstack.core.runs.index import newest
from trainstack.core.sweeps import sweep
from trainstack.core.sweeps.driver import PRUNED
from trainstack.errors import RunFailedError, TrainstackError
from trainstack.storage import locks

UNIFORM = {"--rate": {"kind": "uniform", "low": 0.0, "high": 1.0}}


def searched(workspace, request, progress=lambda _: None):
    return sweep.follow(sweep.submit(workspace, request, {}), progress)


def starts(workspace, run_id):
    """How often a run's script was started."""
    return len((RunDirectory(workspace.run(run_id)).outputs / "started").read_text())


def test_the_best_trial_is_told_with_what_was_chosen(workspace, sweep_for):
    said = []
    record = searched(workspace, sweep_for(UNIFORM, max_trials=6), said.append)
    assert [trial.state for trial in record.trials] == ["completed"] * 6
    best = record.best_trial
    assert best is not None
    assert best.value == max(trial.value or 0 for trial in record.trials)
    run = RunDirectory(workspace.run(best.run_id))
    assert run.read().metrics["score"] == best.value
    assert run.request().spec.arguments == {"--rate": repr(best.parameters["--rate"])}
    assert said[-1].startswith(("5/6 best ", "4/6 best "))
    assert "(rate 0." in said[-1]


def test_a_trial_is_the_run_that_a_program_would_make(workspace, sweep_for, request_for, source):
    done = submission.submit(workspace, request_for({"--rate": 0.5}), source, {})
    submission.follow(done.directory)
    space = {"--rate": {"kind": "choice", "values": [0.5, 0.25]}}
    record = searched(workspace, sweep_for(space, sampler="grid"))
    assert done.directory.id in {trial.run_id for trial in record.trials}
    assert len(record.trials) == 2
    assert starts(workspace, done.directory.id) == 1


def test_a_second_search_trains_nothing(workspace, sweep_for):
    first = searched(workspace, sweep_for(UNIFORM, max_trials=3))
    again = searched(workspace, sweep_for(UNIFORM, max_trials=3))
    assert again.trials == first.trials
    assert len(newest(workspace)) == 3


def test_a_wider_space_keeps_the_old_trials(workspace, sweep_for):
    narrow = {"--rate": {"kind": "choice", "values": [0.1, 0.2]}}
    first = searched(workspace, sweep_for(narrow, sampler="grid"))
    wide = {"--rate": {"kind": "choice", "values": [0.1, 0.2, 0.3]}}
    record = searched(workspace, sweep_for(wide, sampler="grid"))
    assert record.id == first.id
    assert len(record.trials) == 3
    assert {trial.run_id for trial in first.trials} < {trial.run_id for trial in record.trials}
    searched(workspace, sweep_for({"--rate": {"kind": "uniform", "low": 0.05, "high": 0.9}}, max_trials=5))
    assert len(newest(workspace)) == 5


def test_hopeless_trials_are_stopped(workspace, sweep_for):
    space = {"--rate": {"kind": "choice", "values": [0.3, 0.9]}}
    how = {"pruner": "median", "pruner_options": {"n_startup_trials": 1}, "sampler": "grid", "max_concurrent": 1}
    record = searched(workspace, sweep_for(space, {"--steps": 60, "--pause": 0.1}, **how))
    states = {trial.parameters["--rate"]: trial for trial in record.trials}
    if states[0.9].number == 1:
        assert states[0.9].state == "pruned"
        stopped = RunDirectory(workspace.run(states[0.9].run_id)).read()
        assert stopped.reason.startswith(PRUNED)
        assert stopped.stages[-1].seconds < 6
    assert states[0.3].state == "completed"


def test_what_does_not_apply_is_not_given_to_the_script(workspace, sweep_for):
    space = {
        "--rate": {"kind": "choice", "values": [0.1, 0.2]},
        "--steps": {"kind": "choice", "values": [2, 3], "when": {"--rate": [0.1]}},
    }
    record = searched(workspace, sweep_for(space, sampler="grid"))
    given = [RunDirectory(workspace.run(trial.run_id)).request().spec.arguments for trial in record.trials]
    assert sorted(map(str, given)) == sorted(
        map(str, [{"--rate": "0.1", "--steps": "2"}, {"--rate": "0.1", "--steps": "3"}, {"--rate": "0.2"}])
    )


def test_no_trial_is_lost_with_a_killed_driver(workspace, sweep_for):
    request = sweep_for(UNIFORM, {"--steps": 3, "--pause": 0.2}, max_trials=6)
    directory = sweep.submit(workspace, request, {})
    until(lambda: directory.read().ended >= 1)
    [pid] = subprocess.run(["pgrep", "-f", str(directory.root)], capture_output=True, text=True).stdout.split()[:1]
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: not locks.is_locked(directory.lock))
    with pytest.raises(RunFailedError, match="driver was killed; run `pulumi up` again"):
        sweep.follow(directory)
    record = searched(workspace, request)
    assert [trial.state for trial in record.trials] == ["completed"] * 6
    assert [starts(workspace, trial.run_id) for trial in record.trials] == [1] * 6


def test_a_stopped_sweep_goes_on_with_its_trials(workspace, sweep_for):
    request = sweep_for(UNIFORM, {"--steps": 5, "--pause": 0.3}, max_trials=2)
    directory = sweep.submit(workspace, request, {})
    until(lambda: len(directory.read().trials) == 2)
    assert sweep.stop(directory, "enough for today").reason == "enough for today"
    with pytest.raises(RunFailedError, match="canceled: enough for today"):
        sweep.follow(directory)
    record = searched(workspace, request)
    assert [trial.state for trial in record.trials] == ["completed"] * 2


def test_a_wider_search_takes_over_while_trials_go_on(workspace, sweep_for):
    directory = sweep.submit(workspace, sweep_for(UNIFORM, {"--steps": 4, "--pause": 0.3}, max_trials=2), {})
    until(lambda: len(directory.read().trials) == 2)
    record = searched(workspace, sweep_for(UNIFORM, {"--steps": 4, "--pause": 0.3}, max_trials=3))
    assert [trial.state for trial in record.trials] == ["completed"] * 3
    assert [starts(workspace, trial.run_id) for trial in record.trials] == [1] * 3


def test_a_sweep_ends_when_more_than_its_share_of_trials_fail(workspace, sweep_for):
    said = r"(?s)3 of at most 50 trials failed, more than max_failed_share=0.05 allows, the last with: .*no such layer"
    how = {"max_trials": 50, "max_concurrent": 1, "max_failed_share": 0.05}
    with pytest.raises(RunFailedError, match=said):
        searched(workspace, sweep_for(UNIFORM, {"--fail": "1"}, **how))


def test_trials_without_a_number_are_kept_and_skipped(workspace, sweep_for):
    ends = {"kind": "choice", "values": ["fail", "fail again", "fail a third time", "nan", "inf", "-inf", "0.5"]}
    how = {"sampler": "grid", "max_concurrent": 1, "max_failed_share": 0.9}
    record = searched(workspace, sweep_for({"--ends": ends}, {"--rate": 0.3}, **how))
    assert record.status == "completed"
    assert [trial.state for trial in record.trials] == ["failed"] * 6 + ["completed"]
    assert [trial.reason for trial in record.trials[3:6]] == ["score is nan", "score is inf", "score is -inf"]
    assert record.best == 6


def test_an_equal_trial_neither_trains_nor_counts(workspace, sweep_for):
    space = {"--rate": {"kind": "choice", "values": [0.1, 0.2, 0.3]}}
    record = searched(workspace, sweep_for(space, sampler="random", max_trials=10))
    assert record.total == 3
    assert sorted(trial.parameters["--rate"] for trial in record.trials) == [0.1, 0.2, 0.3]
    assert [starts(workspace, trial.run_id) for trial in record.trials] == [1] * 3


def test_a_metric_that_no_trial_logs_is_told(workspace, sweep_for):
    with pytest.raises(TrainstackError, match=r"logged no metric 'accuracy' \(it logged score\)"):
        searched(workspace, sweep_for(UNIFORM, metric="accuracy", max_trials=1))


def test_a_sweep_ends_with_its_time_and_goes_on_with_more(workspace, sweep_for):
    slow = {"--steps": 3, "--pause": 0.5}
    record = searched(workspace, sweep_for(UNIFORM, slow, max_trials=40, max_duration=6))
    assert record.status == "completed"
    assert 0 < record.ended < 40


def test_a_sweep_ends_with_its_cost_and_tells_it(workspace, sweep_for):
    request = sweep_for(UNIFORM, {"--steps": 3, "--pause": 0.5}, max_trials=40, max_total_cost=4)
    # One coin a second and node.
    compute = request.run.compute.model_copy(update={"prices": {"local": 3600.0}})
    request = request.model_copy(update={"run": request.run.model_copy(update={"compute": compute})})
    record = searched(workspace, request)
    assert record.status == "completed"
    assert 0 < record.ended < 40
    assert (record.cost or 0) >= 4


@pytest.mark.parametrize(
    ("sampler", "pruner"), [("random", "hyperband"), ("cmaes", "asha"), ("tpe", "median"), ("random", "none")]
)
def test_every_sampler_and_pruner_works(workspace, sweep_for, sampler, pruner):
    record = searched(workspace, sweep_for(UNIFORM, sampler=sampler, pruner=pruner, max_trials=2))
    assert len(record.trials) == 2


@pytest.mark.parametrize("sampler", ["cmaes", "gp"])
def test_a_sampler_chooses_by_what_it_has_learned(workspace, sweep_for, sampler):
    if sampler == "gp":
        for needed in ("scipy", "torch"):
            pytest.importorskip(needed, reason=f"{needed} is not here: it comes with trainstack[gp]")
    how = {"sampler": sampler, "sampler_options": {"n_startup_trials": 2}, "max_concurrent": 1}
    learned = searched(workspace, sweep_for(UNIFORM, max_trials=4, **how))
    values = [trial.parameters["--rate"] for trial in learned.trials]
    assert [trial.state for trial in learned.trials] == ["completed"] * 4
    assert len(set(values)) == 4
    assert min(abs(value - 0.3) for value in values[2:]) <= max(abs(value - 0.3) for value in values[:2])
